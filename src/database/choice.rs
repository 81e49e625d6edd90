//! Which backend is wanted, and which one it was. Starts nothing.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// Where Postgres shall come from: `auto`, `container`, `local` or a URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Choice {
    /// A container when that works, else a local cluster.
    Auto,
    /// A container.
    Container,
    /// A private cluster from the programs on this machine.
    Local,
    /// A server that is there already.
    Url(String),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "container" => Ok(Self::Container),
            "local" => Ok(Self::Local),
            url if ["postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme)) =>
            {
                PgConnectOptions::from_str(url)
                    .map(|_| Self::Url(url.into()))
                    .map_err(|error| format!("this is not the URL of a Postgres server: {error}"))
            }
            other => Err(format!(
                "`{other}` is none of auto, container, local, or a URL like \
                 postgres://user:password@host:5432/postgres"
            )),
        }
    }
}

impl fmt::Debug for Choice {
    /// Leaves out the URL, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Container => "container",
            Self::Local => "local",
            Self::Url(_) => "url",
        })
    }
}

/// Which backend a database came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// A private cluster.
    Local,
    /// A server that was there already.
    Url,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Container => "container",
            Self::Local => "local",
            Self::Url => "url",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_choice_is_told_in_one_line() {
        for text in [
            "docker",
            "http://localhost",
            "postgres://a:b@host:port/x",
            "",
        ] {
            assert!(
                !text.parse::<Choice>().unwrap_err().contains('\n'),
                "{text}"
            );
        }
        for text in ["auto", "container", "local", "postgres://a:secret@host/x"] {
            let choice: Choice = text.parse().unwrap();
            assert!(!format!("{choice:?}").contains("secret"));
        }
    }
}
