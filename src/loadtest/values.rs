//! The values of `feedgrade loadtest`'s options: durations, headers, targets, addresses.
//!
//! Pure. Each parser's error is one sentence that says how to write it.

use std::time::Duration;

use reqwest::Url;

/// `30s`, `500ms`, `1m`, `1m30s`; a bare number means seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: write 30s, 500ms, 1m or 1m30s");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        total = Duration::try_from_secs_f64(number * seconds)
            .ok()
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
    }
    if text.is_empty() {
        Err(wrong())
    } else {
        Ok(total)
    }
}

/// `Name: value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!(
            "`{text}` is no header: write 'Name: value', e.g. 'Accept: application/json'"
        )),
    }
}

/// `http://host:port/path`.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let way_out = "write it like http://127.0.0.1:3000/feed";
    let typed = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url =
        Url::parse(&typed).map_err(|error| format!("`{text}` is no URL ({error}): {way_out}"))?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err(
                "only http:// is spoken here, no TLS: point it at the server's plain port, \
                 before any proxy that adds https"
                    .to_owned(),
            );
        }
        scheme => {
            return Err(format!(
                "{scheme}:// is not spoken here, only http://: {way_out}"
            ));
        }
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("`{text}` names no host: {way_out}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "a name and password in the URL are not sent: use -H 'Authorization: …'".to_owned(),
        );
    }
    Ok(url)
}

/// One of several kinds of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetValue {
    pub(super) weight: u32,
    pub(super) method: String,
    pub(super) path: String,
    /// As typed: text, or `@` and a file.
    pub(super) body: Option<String>,
}

/// `[WEIGHT] METHOD /path [BODY]`.
pub(super) fn target(text: &str) -> Result<TargetValue, String> {
    let wrong = || {
        format!("`{text}` is no target: write '[WEIGHT] METHOD /path [BODY]', e.g. '9 GET /feed'")
    };
    let mut rest = text.trim();
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let first = word();
    let (weight, method) = match first.parse::<u32>() {
        Ok(weight) => (weight, word()),
        Err(_) => (1, first),
    };
    let path = word();
    let plain = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !plain || !path.starts_with('/') || !(1..=1000).contains(&weight) {
        return Err(wrong());
    }
    Ok(TargetValue {
        weight,
        method: method.to_owned(),
        path: path.to_owned(),
        body: (!rest.is_empty()).then(|| rest.to_owned()),
    })
}

/// Requests a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse();
    match number {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err(format!(
            "`{text}` is no rate: write requests a second, 0.001 to 1000000, e.g. 500"
        )),
    }
}

/// `json=PATH`.
pub(super) fn write(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("json", path)) if !path.is_empty() => Ok(path.to_owned()),
        _ => Err(format!(
            "`{text}` cannot be written: write json=PATH, or json=- for stdout"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_do() {
        for (text, millis) in [
            ("30s", 30_000),
            ("500ms", 500),
            ("1m", 60_000),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("2", 2000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "30 s", "30x", "-1s", "1e400", "ms30", "1..5s"] {
            assert!(duration(text).unwrap_err().contains("write 30s"), "{text}");
        }
    }

    #[test]
    fn only_http_urls_are_taken() {
        assert_eq!(
            url("http://127.0.0.1:3000/feed?x=1").unwrap().port(),
            Some(3000)
        );
        assert_eq!(url("localhost:3000/feed").unwrap().path(), "/feed");
        for (text, sentence) in [
            ("https://x/", "no TLS"),
            ("ftp://x/", "only http://"),
            ("http://", "write it like"),
            ("http://a b/", "write it like"),
            ("http://x:99999/", "write it like"),
            ("http://me:secret@x/", "Authorization"),
        ] {
            let error = url(text).unwrap_err();
            assert!(error.contains(sentence), "{text}: {error}");
        }
    }

    #[test]
    fn targets_have_weights_and_bodies() {
        let seen = target("9 GET /feed?a=1").unwrap();
        assert_eq!(
            (seen.weight, seen.path.as_str(), seen.body),
            (9, "/feed?a=1", None)
        );
        let seen = target("POST /posts {\"user_id\": 1}").unwrap();
        assert_eq!((seen.weight, seen.method.as_str()), (1, "POST"));
        assert_eq!(seen.body.as_deref(), Some("{\"user_id\": 1}"));
        for text in [
            "",
            "GET",
            "/feed",
            "get /feed",
            "0 GET /",
            "9 GET",
            "GET feed",
        ] {
            assert!(target(text).unwrap_err().contains("9 GET /feed"), "{text}");
        }
    }

    #[test]
    fn headers_and_outputs_say_how_they_are_written() {
        assert_eq!(header("A: b:c"), Ok(("A".into(), "b:c".into())));
        assert!(header("nothing").is_err());
        assert_eq!(write("json=-"), Ok("-".into()));
        assert!(write("html=x").is_err());
        assert!(rate("nan").is_err() && rate("0").is_err() && rate("500/s") == Ok(500.0));
    }
}
