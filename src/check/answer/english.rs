//! English as far as judging needs it: which words are real, which carry grammar and no matter,
//! and which words of other languages give those away.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::stem::stem;

/// Common words, in base form, and words of the trade: what a slip may have been meant to be.
const COMMON: &str = include_str!("english.txt");
/// The base forms of some 17,000 English words, sorted (SCOWL up to level 35; see
/// `words.LICENSE.txt`). They keep typo tolerance from turning one real word into another, and tell
/// prose from keys hit at random.
const REAL: &str = include_str!("words.txt");

static WORDS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| COMMON.split_whitespace().collect());
static STEMS: LazyLock<BTreeSet<String>> =
    LazyLock::new(|| COMMON.split_whitespace().map(stem).collect());
static REAL_WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| REAL.split_whitespace().collect());

/// Words that carry grammar: a sentence has them, a list of keywords does not.
static FUNCTION: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    "a an the this that these those it its they them their he she we us our you your i me my \
     is are was were be been being am do does did has have had will would can could should may \
     might must of to in on at by for from with without into onto over under through between \
     about as than and or but so because if when while where which who what how why then there \
     here not no nor never every each all any some both few more most many much only just also \
     too very up out off per via until before after since during again once one other another \
     same such own whatever whenever everybody everyone nobody nothing everything something \
     get gets got let instead though although unless yet still already now however"
        .split_whitespace()
        .collect()
});

/// Words that tie others together; some function words (`per`, `every`, `new`) do not.
static GLUE: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    "a an the is are was were be been it they this that these to of in with for and or but so \
     because if when not than then by from has have had do does can could will would should may \
     i we you my our your their its as at into slower faster more less worse"
        .split_whitespace()
        .collect()
});

/// Words of the trade. An answer about these matters has some; an image has none.
static TRADE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    "server database db postgres postgresql sql sqlx query table row column schema index scan pool \
     pgpool connection connect request response endpoint handler route api http user timeout error \
     latency load test code compile compiler cargo rust axum tokio async await function struct vec \
     hashmap macro crate dashboard grafana prometheus panel port login admin metric cpu ram ssd disk \
     nvme memory gb hardware cache deploy deployment production release build binary branch version \
     software app application frontend backend web website network browser json client thread cluster \
     insert update write read select sort traffic cloud docker kubernetes log debug bug config \
     option file line module data host instance semicolon docs tutorial bootcamp chapter exercise \
     question text ms"
        .split_whitespace()
        .map(stem)
        .collect()
});

/// Common verbs, as stems: a keyword list has none of them in a finite form.
static VERBS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    "make create open build start call use wait fail look go come give take keep put run \
     need want try find know think say tell see grow become hit stop happen return close \
     reuse add send reach handle serve spin point route spread hide fix solve treat remove avoid \
     walk check compare touch change move ship deploy bring stay hold \
     ask fetch let allow refuse reject expire give leave throw set spawn get do be have \
     put depend choose pick switch buy launch help finish drain crash break kill"
        .split_whitespace()
        .map(stem)
        .collect()
});

/// Whether a folded word is one of English or of the trade, in any regular form.
#[must_use]
pub fn is_word(word: &str) -> bool {
    WORDS.contains(word) || STEMS.contains(&stem(word)) || is_real(word) || is_made(word)
}

fn is_real(word: &str) -> bool {
    REAL_WORDS.binary_search(&word).is_ok()
}

/// Whether a word is made of another one: `caller`, `processor`, `slowness`, `scrolling`.
fn is_made(word: &str) -> bool {
    const ENDINGS: [&str; 15] = [
        "s", "es", "ed", "ing", "ly", "er", "ers", "or", "ors", "ness", "less", "ful", "able",
        "ment", "est",
    ];
    let known = |word: &str| WORDS.contains(word) || is_real(word);
    let doubled = |head: &str| {
        let mut last = head.chars().rev();
        let (end, before) = (last.next(), last.next());
        end == before
            && end.is_some_and(|c| "bdglmnprtz".contains(c))
            && head.len() >= 4
            && known(&head[..head.len() - 1])
    };
    let from = |ending: &&str| {
        let vowel = ending.starts_with(['a', 'e', 'i', 'o']);
        word.strip_suffix(*ending).is_some_and(|head| {
            let whole = known(head) || vowel && (known(&format!("{head}e")) || doubled(head));
            head.len() >= 4 && whole
        })
    };
    let from_y = |head: &str| head.len() >= 3 && known(&format!("{head}y"));
    word.is_ascii()
        && (ENDINGS.iter().any(from)
            || ["ies", "ied", "ier", "iest", "ily"]
                .iter()
                .filter_map(|ending| word.strip_suffix(ending))
                .any(from_y))
}

/// Common words, for looking for neighbours.
pub fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().copied()
}

/// Whether a word carries grammar only.
#[must_use]
pub fn is_function_word(word: &str) -> bool {
    FUNCTION.contains(word)
}

/// Whether a word ties others together.
#[must_use]
pub fn is_glue(word: &str) -> bool {
    GLUE.contains(word)
}

/// Whether a stem is that of a word of the trade.
#[must_use]
pub fn is_of_the_trade(stem: &str) -> bool {
    TRADE.contains(stem)
}

/// Whether a stem is that of a common verb.
#[must_use]
pub fn is_verb(stem: &str) -> bool {
    VERBS.contains(stem)
}

/// Words that are frequent in one of the languages that learners write in, and no English words.
/// Without accents, as folding leaves them.
pub const OTHER_LANGUAGES: &[(&str, &str)] = &[
    (
        "German",
        "der das und ist nicht ein eine einen einer einem jede jeder jedes wird werden mit auf fur \
         von zu bei dass weil wenn aber oder auch nur noch sich sie wir ich es im dem den des alle \
         mehr sehr wie durch keine kein nach dann hat haben sind kann viele neue neuen",
    ),
    (
        "Spanish",
        "el la los las un una que de y en es por para con se cada del al como pero mas no hay su \
         sus lo muy todas todos tiene son esta este porque cuando sin entonces nueva nuevo peticion",
    ),
    (
        "French",
        "le la les un une des et est que pour dans chaque avec sur pas ne par du au aux il elle se \
         ce cette qui plus sont sans car donc mais tous toutes nouvelle nouveau requete on peut",
    ),
    (
        "Portuguese",
        "o os as um uma que de e em para por com cada nao do da dos das no na se mais como mas seu \
         sua todos todas isso porque quando sem entao nova novo requisicao ao pelo sao tem",
    ),
    (
        "Italian",
        "il lo gli un una che di e per con ogni non del della dei si piu come ma suo sua sono \
         tutti tutte quando senza nuova nuovo richiesta perche nel alla viene",
    ),
    (
        "Dutch",
        "de het een en van is niet voor met op dat wordt worden elke bij om ook maar als naar dan \
         nog zijn heeft geen alle er aan door zich nieuwe deze",
    ),
    (
        "Polish",
        "i w na nie jest sie do ze z jak dla kazdy kazde kazda przez po od to ale tylko czy nowy \
         nowe oraz bo gdy wszystkie bez",
    ),
    (
        "Turkish",
        "ve bir bu her icin ile de da ne cok daha olarak gibi yeni istek kadar sonra ama degil var \
         yok tum",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflected_words_are_words_and_typos_are_none() {
        for word in [
            "pools",
            "creating",
            "queries",
            "slower",
            "tool",
            "tools",
            "walked",
            "lying",
            "thought",
            "injecting",
            "upstream",
            "scrolling",
            "tile",
            "carton",
            "queueing",
            "grabbed",
        ] {
            assert!(is_word(word), "{word}");
        }
        for word in [
            "conection",
            "becuase",
            "evry",
            "asdkjh",
            "slowwer",
            "maioria",
        ] {
            assert!(!is_word(word), "{word}");
        }
    }
}
