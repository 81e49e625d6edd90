//! Sequential tests: on which side of a limit the truth lies, and whether enough was measured to say.
//!
//! Pure. Both tests may be looked at after every window or round, and stopped whenever they are sure:
//! each keeps an e-value, evidence against "the truth is not on this side", which starts at 1 and is
//! expected not to grow while that is so. By Ville's inequality (J. Ville, Étude critique de la notion
//! de collectif, 1939) it then reaches 1/α with probability α at most, however often one looks.
//! See A. Ramdas, P. Grünwald, V. Vovk, G. Shafer: Game-theoretic statistics and safe anytime-valid
//! inference, Statistical Science 38 (2023); A. Wald: Sequential analysis (1947) for the first of them.

/// How sure a test must be: the chance, at most, with which what lies exactly on a limit is put on one
/// side of it. What lies off the limit is misplaced far more rarely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// To stop measuring: 1 %.
    Stop,
    /// To judge when no more can be measured: 5 %. What was sure enough to stop is so here, too.
    Judge,
}

impl Level {
    fn error(self) -> f64 {
        match self {
            Self::Stop => 0.01,
            Self::Judge => 0.05,
        }
    }
}

/// On which side of a limit the truth lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Below it.
    Below,
    /// Above it.
    Above,
    /// Inside the noise: not enough was measured, or too close to call.
    Open,
}

/// From the logarithms of the e-values.
fn side(below: f64, above: f64, level: Level) -> Side {
    let sure = -level.error().ln();
    if below >= sure && below > above {
        Side::Below
    } else if above >= sure {
        Side::Above
    } else {
        Side::Open
    }
}

/// How much alike the requests of one window are, at least: the intraclass correlation of failures. It
/// is estimated when some requests fail and some do not, and this is what is taken while none fails.
const LIKENESS: f64 = 0.02;

/// The share of `hits` in `trials`, counted in windows, against a limit of 0 or more and below 1.
///
/// The e-values are Wald's likelihood ratios: of a tenth of the limit to the limit, and of three times
/// the limit to the limit. Requests of one window stand and fall together (one stall fails them all),
/// so they do not count in full: all counts are divided by Kish's design effect 1 + (m − 1) ρ, with m
/// requests in a window and ρ the intraclass correlation by analysis of variance (L. Kish, Survey
/// Sampling, 1965). Assumed: ρ is at least 0.02, what is measured stays the same kind of thing
/// while it is measured, and windows are alike only as far as their shares are.
#[must_use]
pub fn share(windows: impl IntoIterator<Item = (u64, u64)>, limit: f64, level: Level) -> Side {
    let windows: Vec<(f64, f64)> = windows
        .into_iter()
        .filter(|(_, trials)| *trials > 0)
        .map(|(hits, trials)| (count(hits.min(trials)), count(trials)))
        .collect();
    let trials: f64 = windows.iter().map(|(_, trials)| trials).sum();
    let hits: f64 = windows.iter().map(|(hits, _)| hits).sum();
    if trials <= 0.0 {
        return Side::Open;
    }
    if limit <= 0.0 {
        // Not one is allowed, so one is enough, and no number without one is a proof.
        return if hits > 0.0 { Side::Above } else { Side::Below };
    }
    let size = windows.iter().map(|(_, n)| n * n).sum::<f64>() / trials;
    let effect = 1.0 + (size - 1.0).max(0.0) * likeness(&windows, hits, trials);
    let (hits, misses) = (hits / effect, (trials - hits) / effect);
    let ratio = |alternative: f64| {
        hits * (alternative / limit).ln() + misses * ((1.0 - alternative) / (1.0 - limit)).ln()
    };
    let above = (limit * 3.0).min(f64::midpoint(limit, 1.0));
    side(ratio(limit / 10.0), ratio(above), level)
}

/// The intraclass correlation of hits in windows, [`LIKENESS`] at least and 1 at most.
///
/// One-way analysis of variance with unequal group sizes (A. Donner, International Statistical
/// Review 54, 1986).
fn likeness(windows: &[(f64, f64)], hits: f64, trials: f64) -> f64 {
    let groups = count(windows.len() as u64);
    let mean = hits / trials;
    if groups < 2.0 || trials <= groups || mean <= 0.0 || mean >= 1.0 {
        return LIKENESS;
    }
    let between = windows
        .iter()
        .map(|(hits, n)| n * (hits / n - mean).powi(2))
        .sum::<f64>()
        / (groups - 1.0);
    let within = windows
        .iter()
        .map(|(hits, n)| hits * (1.0 - hits / n))
        .sum::<f64>()
        / (trials - groups);
    let squares = windows.iter().map(|(_, n)| n * n).sum::<f64>();
    let size = (trials - squares / trials) / (groups - 1.0);
    let total = between + (size - 1.0) * within;
    if total <= 0.0 {
        return LIKENESS;
    }
    ((between - within) / total).clamp(LIKENESS, 1.0)
}

/// A quantity of the reference and of the submission, measured in turn: reference, reference,
/// submission, reference, submission, reference …
///
/// That the two are measured in turn is what makes the comparison accurate on a noisy machine (L.
/// Bulej and others, Duet benchmarking, ICPE 2020): what is noise to one is noise to the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Duet {
    /// ln(submission / reference) of each leg of the submission, with the geometric mean of the
    /// reference's legs right before and after it.
    ratios: Vec<f64>,
    /// |ln| of the ratio of each two neighbouring legs of the reference.
    noise: Vec<f64>,
    /// The reference's legs after the submission's first, against those before it: ln of the ratio of
    /// their medians.
    slowed: f64,
}

/// A leg: when it ran, and what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg {
    /// Any clock that both share.
    pub at: f64,
    /// Above 0.
    pub value: f64,
}

/// Differences up to this factor are noise, even when the reference showed less against itself.
const QUIET: f64 = 1.25;

impl Duet {
    /// Puts the legs in their order. Legs without a value are left out.
    #[must_use]
    pub fn new(reference: &[Leg], submission: &[Leg]) -> Self {
        let ordered = |legs: &[Leg]| {
            let mut legs: Vec<Leg> = legs
                .iter()
                .filter(|leg| leg.value > 0.0 && leg.value.is_finite())
                .copied()
                .collect();
            legs.sort_by(|a, b| a.at.total_cmp(&b.at));
            legs
        };
        let (reference, submission) = (ordered(reference), ordered(submission));
        let ratios = submission
            .iter()
            .filter_map(|leg| {
                let before = reference.iter().rfind(|other| other.at < leg.at);
                let after = reference.iter().find(|other| other.at >= leg.at);
                let logs: Vec<f64> = [before, after]
                    .into_iter()
                    .flatten()
                    .map(|other| other.value.ln())
                    .collect();
                let mean = logs.iter().sum::<f64>() / count(logs.len() as u64);
                (!logs.is_empty()).then(|| leg.value.ln() - mean)
            })
            .collect();
        let noise = reference
            .windows(2)
            .map(|pair| (pair[0].value / pair[1].value).ln().abs())
            .collect();
        let first = submission.first().map_or(f64::INFINITY, |leg| leg.at);
        let middle = |is_after: bool| {
            let values = reference.iter().filter(|leg| (leg.at > first) == is_after);
            median(&values.map(|leg| leg.value.ln()).collect::<Vec<_>>())
        };
        let slowed = middle(true)
            .zip(middle(false))
            .map_or(0.0, |(after, before)| after - before);
        Self {
            ratios,
            noise,
            slowed,
        }
    }

    /// How many legs of the submission could be compared.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.ratios.len()
    }

    /// The median of the ratios, with the lowest and the highest. `None` before the first.
    #[must_use]
    pub fn ratio(&self) -> Option<(f64, f64, f64)> {
        let lowest = self.ratios.iter().copied().reduce(f64::min)?;
        let highest = self.ratios.iter().copied().reduce(f64::max)?;
        let middle = median(&self.ratios)?;
        Some((middle.exp(), lowest.exp(), highest.exp()))
    }

    /// By how many times the reference usually differs from itself: the median. 1 before its second
    /// leg.
    #[must_use]
    pub fn noise(&self) -> f64 {
        median(&self.noise).unwrap_or(0.0).exp()
    }

    /// How many times as slow the reference was once the submission ran, as before.
    #[must_use]
    pub fn slowed(&self) -> f64 {
        self.slowed.exp()
    }

    /// On which side of `limit` the true ratio lies.
    ///
    /// Two bets run beside each other, and the e-value is their mean. The first bets on the sign alone:
    /// a ratio that is truly above the limit is measured below it in at most one of two rounds,
    /// whatever came before, so a round on one side multiplies by 1.8 and one on the other by 0.2. The
    /// second bets on clear rounds, further from the limit than three times what the reference usually
    /// differs from itself (and than 1.25 times): assumed is that noise takes at most one round in
    /// ten so far to the wrong side, so a clear round multiplies by 8, any other by 2/9, and a clear one on the other side by 1/64. Three
    /// clear rounds are enough, or ten that merely agree. (Of 144 rounds of the reference against
    /// itself, most of them on a busy machine, noise took 4 so far to either side.)
    ///
    /// What was sure enough to stop after some round stays so: the inequality is about the highest
    /// e-value that was ever reached.
    #[must_use]
    pub fn side(&self, limit: f64, level: Level) -> Side {
        (1..=self.rounds())
            .map(|rounds| self.side_after(rounds, limit, Level::Stop))
            .find(|side| *side != Side::Open)
            .unwrap_or_else(|| self.side_after(self.rounds(), limit, level))
    }

    fn side_after(&self, rounds: usize, limit: f64, level: Level) -> Side {
        // Two legs of the reference come before the first round, and one with each.
        let known = &self.noise[..(rounds + 1).min(self.noise.len())];
        let clear = (3.0 * median(known).unwrap_or(0.0)).max(QUIET.ln());
        let evidence = |towards: f64| {
            let (mut sign, mut far) = (0.0_f64, 0.0_f64);
            for ratio in &self.ratios[..rounds] {
                let distance = (ratio - limit.ln()) * towards;
                sign += if distance > 0.0 { 1.8_f64 } else { 0.2 }.ln();
                far += if distance > clear {
                    8.0_f64
                } else if distance < -clear {
                    1.0 / 64.0
                } else {
                    2.0 / 9.0
                }
                .ln();
            }
            f64::midpoint(sign.exp(), far.exp()).ln()
        };
        side(evidence(-1.0), evidence(1.0), level)
    }
}

/// The middle value, or the mean of the two middle ones.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted.get(middle).copied(),
        _ => Some(f64::midpoint(
            *sorted.get(middle.checked_sub(1)?)?,
            sorted[middle],
        )),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator of pseudo-random numbers (xorshift64*), so that a test is the same each time.
    struct Random(u64);

    impl Random {
        /// 0 to 1.
        fn unit(&mut self) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = u32::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32).unwrap();
            f64::from(high) / f64::from(u32::MAX)
        }

        /// Mean 0, standard deviation 1, by the sum of twelve.
        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
        }
    }

    fn legs(values: &[f64], from: f64) -> Vec<Leg> {
        (0_u32..)
            .zip(values)
            .map(|(i, value)| Leg {
                at: from + f64::from(i),
                value: *value,
            })
            .collect()
    }

    #[test]
    fn no_failure_is_sure_after_some_seconds_and_many_failures_after_one() {
        let clean = |windows: usize| share(vec![(0, 62); windows], 0.01, Level::Stop);
        assert_eq!(clean(8), Side::Open);
        assert_eq!(clean(20), Side::Below);
        assert_eq!(share(vec![(160, 170); 2], 0.01, Level::Stop), Side::Above);
        assert_eq!(share([(0, 0)], 0.01, Level::Judge), Side::Open);
    }

    #[test]
    fn a_share_on_the_limit_stays_open() {
        let windows = (0..100).map(|i| (u64::from(i % 2 == 0), 50));
        assert_eq!(share(windows, 0.01, Level::Judge), Side::Open);
    }

    #[test]
    fn one_stalled_window_among_many_is_no_proof_of_failing() {
        // 2 % of all requests, but all at once.
        let stall = |i: u32| if i == 30 { (1_000, 1_000) } else { (0, 1_000) };
        assert_ne!(share((0..50).map(stall), 0.01, Level::Judge), Side::Above);
        let spread = (0..50).map(|_| (20, 1_000));
        assert_eq!(share(spread, 0.01, Level::Judge), Side::Above);
    }

    #[test]
    fn a_server_exactly_on_the_limit_is_rarely_put_on_one_side() {
        let mut random = Random(7);
        let mut misplaced = 0;
        for _ in 0..500 {
            let mut windows = Vec::new();
            for _ in 0..80 {
                let failed = (0..60).filter(|_| random.unit() < 0.01).count();
                windows.push((u64::try_from(failed).unwrap(), 60));
                if share(windows.iter().copied(), 0.01, Level::Stop) != Side::Open {
                    misplaced += 1;
                    break;
                }
            }
        }
        // Two sides, each with an error level of one in a hundred.
        assert!(misplaced <= 10, "{misplaced} of 500");
    }

    #[test]
    fn three_clear_rounds_are_enough_and_one_is_not() {
        let reference = legs(&[13.0, 13.5, 12.8, 13.1, 13.3], 0.0);
        let fast = legs(&[14.0, 13.0, 14.5], 1.5);
        let duet = Duet::new(&reference, &fast);
        assert_eq!(
            (duet.rounds(), duet.side(3.0, Level::Stop)),
            (3, Side::Below)
        );
        assert_eq!(
            Duet::new(&reference, &fast[..2]).side(3.0, Level::Stop),
            Side::Open
        );
        let slow = legs(&[390.0, 401.0, 377.0], 1.5);
        assert_eq!(
            Duet::new(&reference, &slow).side(3.0, Level::Stop),
            Side::Above
        );
        let (median, low, high) = duet.ratio().unwrap();
        assert!(low <= median && median <= high && (median - 1.05).abs() < 0.1);
    }

    #[test]
    fn what_lies_inside_the_noise_stays_open() {
        // The reference itself differs by a factor of two from leg to leg.
        let reference = legs(&[10.0, 20.0, 10.0, 20.0, 10.0], 0.0);
        let slower = legs(&[48.0, 50.0, 52.0], 1.5);
        let duet = Duet::new(&reference, &slower);
        assert_eq!(duet.side(3.0, Level::Judge), Side::Open);
        assert!((duet.noise() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn many_rounds_that_agree_are_sure_even_near_the_limit() {
        let reference = legs(&[10.0; 14], 0.0);
        let near = legs(&[27.0; 12], 1.5);
        assert_eq!(
            Duet::new(&reference, &near[..8]).side(3.0, Level::Stop),
            Side::Open
        );
        assert_eq!(
            Duet::new(&reference, &near).side(3.0, Level::Stop),
            Side::Below
        );
    }

    #[test]
    fn a_ratio_exactly_on_the_limit_is_rarely_put_on_one_side() {
        let mut random = Random(11);
        let mut misplaced = 0;
        for _ in 0..500 {
            let mut leg = |mean: f64| mean * (0.15 * random.normal()).exp();
            let (mut reference, mut submission) = (vec![leg(10.0), leg(10.0)], Vec::new());
            for _ in 0..15 {
                submission.push(leg(30.0));
                reference.push(leg(10.0));
                let (reference, submission) = (legs(&reference, 0.0), legs(&submission, 1.5));
                if Duet::new(&reference, &submission).side(3.0, Level::Stop) != Side::Open {
                    misplaced += 1;
                    break;
                }
            }
        }
        assert!(misplaced <= 10, "{misplaced} of 500");
    }
}
