//! The learner's own measurements agree in shape with what was measured here.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Finding;
use crate::evidence::Evidence;
use crate::yaml::Located;

/// `results: {failed: baseline, slow: pooling, fast: index}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// The stage whose column shows failing requests.
    pub failed: Located<String>,
    /// The stage whose column shows success and long waits.
    pub slow: Located<String>,
    /// The stage whose column shows success and short waits.
    pub fast: Located<String>,
}

impl Results {
    pub(super) fn judge(&self, _evidence: &Evidence) -> Finding {
        Finding::ungraded("", "")
    }
}
