//! What the inflected forms of an English word have in common.
//!
//! Light on purpose: plural, `-ed`, `-ing`, `-ly` and the irregular forms of common verbs. Both
//! sides of a comparison go through it, so a stem need be no word.

/// Irregular forms, sorted, and the base that stands for them.
const IRREGULAR: &[(&str, &str)] = &[
    ("began", "begin"),
    ("begun", "begin"),
    ("bigger", "big"),
    ("biggest", "big"),
    ("bought", "buy"),
    ("broke", "break"),
    ("broken", "break"),
    ("brought", "bring"),
    ("built", "build"),
    ("came", "come"),
    ("cheaper", "cheap"),
    ("cheapest", "cheap"),
    ("children", "child"),
    ("chose", "choose"),
    ("chosen", "choose"),
    ("did", "do"),
    ("died", "die"),
    ("dies", "die"),
    ("does", "do"),
    ("doing", "do"),
    ("done", "do"),
    ("dug", "dig"),
    ("dying", "die"),
    ("faster", "fast"),
    ("fastest", "fast"),
    ("fell", "fall"),
    ("fewer", "few"),
    ("fewest", "few"),
    ("flipped", "flip"),
    ("forgot", "forget"),
    ("forgotten", "forget"),
    ("found", "find"),
    ("gave", "give"),
    ("given", "give"),
    ("goes", "go"),
    ("going", "go"),
    ("gone", "go"),
    ("got", "get"),
    ("gotten", "get"),
    ("grew", "grow"),
    ("grown", "grow"),
    ("growth", "grow"),
    ("had", "have"),
    ("has", "have"),
    ("having", "have"),
    ("heavier", "heavy"),
    ("held", "hold"),
    ("higher", "high"),
    ("highest", "high"),
    ("hung", "hang"),
    ("indexes", "index"),
    ("indices", "index"),
    ("kept", "keep"),
    ("knew", "know"),
    ("known", "know"),
    ("larger", "large"),
    ("largest", "large"),
    ("led", "lead"),
    ("left", "leave"),
    ("longer", "long"),
    ("longest", "long"),
    ("lost", "lose"),
    ("made", "make"),
    ("makes", "make"),
    ("making", "make"),
    ("meant", "mean"),
    ("met", "meet"),
    ("newer", "new"),
    ("older", "old"),
    ("oldest", "old"),
    ("opened", "open"),
    ("opening", "open"),
    ("paid", "pay"),
    ("put", "put"),
    ("puts", "put"),
    ("quicker", "quick"),
    ("ran", "run"),
    ("rose", "rise"),
    ("said", "say"),
    ("sat", "sit"),
    ("saw", "see"),
    ("seen", "see"),
    ("sent", "send"),
    ("shut", "shut"),
    ("slower", "slow"),
    ("slowest", "slow"),
    ("smaller", "small"),
    ("smallest", "small"),
    ("sold", "sell"),
    ("spent", "spend"),
    ("split", "split"),
    ("spun", "spin"),
    ("stood", "stand"),
    ("stuck", "stick"),
    ("taken", "take"),
    ("taking", "take"),
    ("taught", "teach"),
    ("threw", "throw"),
    ("thrown", "throw"),
    ("told", "tell"),
    ("took", "take"),
    ("tried", "try"),
    ("tries", "try"),
    ("trying", "try"),
    ("used", "use"),
    ("uses", "use"),
    ("using", "use"),
    ("wanna", "want"),
    ("went", "go"),
    ("woke", "wake"),
    ("worse", "worse"),
    ("worst", "worse"),
    ("written", "write"),
    ("wrote", "write"),
];

/// Words that only look inflected.
const PLAIN: &[&str] = &[
    "always",
    "anything",
    "bring",
    "during",
    "else",
    "everything",
    "existing",
    "feed",
    "gone",
    "need",
    "news",
    "nothing",
    "one",
    "only",
    "postgres",
    "redis",
    "reply",
    "sing",
    "something",
    "speed",
    "string",
    "thing",
    "this",
    "thus",
    "times",
    "was",
    "yes",
];

/// The stem of a folded word.
#[must_use]
pub fn stem(word: &str) -> String {
    if !word.bytes().all(|b| b.is_ascii_lowercase()) || word.len() <= 3 {
        return IRREGULAR
            .binary_search_by_key(&word, |(form, _)| form)
            .map_or_else(|_| word.to_owned(), |at| end(IRREGULAR[at].1));
    }
    if let Ok(at) = IRREGULAR.binary_search_by_key(&word, |(form, _)| form) {
        return end(IRREGULAR[at].1);
    }
    if PLAIN.binary_search(&word).is_ok() {
        return word.to_owned();
    }
    let singular = singular(word);
    if let Some(head) = singular.strip_suffix("ied") {
        return format!("{head}i");
    }
    for suffix in ["ing", "ed"] {
        if let Some(head) = singular.strip_suffix(suffix)
            && head.len() >= 3
            && head.contains(['a', 'e', 'i', 'o', 'u', 'y'])
        {
            return end(undouble(head));
        }
    }
    if let Some(head) = singular.strip_suffix("ation")
        && head.len() >= 3
    {
        return format!("{head}at");
    }
    if let Some(head) = singular.strip_suffix("ly")
        && head.len() >= 4
    {
        return end(head);
    }
    end(&singular)
}

fn singular(word: &str) -> String {
    if let Some(head) = word.strip_suffix("ies")
        && head.len() >= 2
    {
        return format!("{head}y");
    }
    for suffix in ["ches", "shes", "sses", "xes", "zzes"] {
        if word.ends_with(suffix) {
            // `caches` is the plural of `cache`; without its `e` both are equal.
            return word[..word.len() - 2].to_owned();
        }
    }
    match word.strip_suffix('s') {
        Some(head) if !head.ends_with(['s', 'u', 'i']) => head.to_owned(),
        _ => word.to_owned(),
    }
}

/// Drops a final `e` and makes a final `y` an `i`, so that `create` and `creat(ing)` are equal.
fn end(word: &str) -> String {
    if word.len() > 3 {
        if let Some(head) = word.strip_suffix('e') {
            return head.to_owned();
        }
        if let Some(head) = word.strip_suffix('y') {
            return format!("{head}i");
        }
    }
    word.to_owned()
}

fn undouble(word: &str) -> &str {
    let bytes = word.as_bytes();
    match bytes {
        [.., before, last]
            if before == last && word.len() > 3 && !matches!(last, b'l' | b's' | b'z' | b'e') =>
        {
            &word[..word.len() - 1]
        }
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflected_forms_are_equal() {
        for forms in [
            "create creates created creating creation",
            "query queries querying queried",
            "cache caches cached caching",
            "run runs running ran",
            "build builds built building",
            "slow slower slowly slows slowing slowed",
            "drop drops dropped dropping",
            "process processes processed processing",
            "fail fails failed failing",
            "share shares shared sharing",
            "use uses used using",
            "make makes made making",
            "index indexes indices indexed indexing",
            "row rows",
            "linear linearly",
            "instance instances",
            "close closes closed closing",
            "scan scans scanned scanning",
            "scale scales scaling scaled",
        ] {
            let stems: Vec<String> = forms.split(' ').map(stem).collect();
            assert!(stems.iter().all(|s| *s == stems[0]), "{forms}: {stems:?}");
        }
    }

    #[test]
    fn words_that_only_look_inflected_stay_themselves() {
        for (left, right) in [
            ("server", "serve"),
            ("new", "news"),
            ("bring", "br"),
            ("string", "str"),
            ("pool", "poll"),
            ("newest", "new"),
            ("only", "on"),
        ] {
            assert_ne!(stem(left), stem(right), "{left} {right}");
        }
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(IRREGULAR.is_sorted());
        assert!(PLAIN.is_sorted());
    }
}
