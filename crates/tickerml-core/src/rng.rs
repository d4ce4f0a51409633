//! The only source of chance: xoshiro256++ seeded through splitmix64, and the few distributions that latencies and order flow
//! need.
//!
//! Transcendental functions come from `libm`, so the same seed gives the same bytes on every machine.
use serde::{Deserialize, Serialize};

/// A seeded generator (xoshiro256++, Blackman and Vigna, public domain algorithm).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator whose whole future is `seed`.
    pub fn new(seed: u64) -> Rng {
        let mut x = seed;
        let state = [0; 4].map(|_: u64| splitmix(&mut x));
        Rng { state }
    }

    /// An independent generator for the part called `label`, so that adding a part does not move the others.
    pub fn of(seed: u64, label: &str) -> Rng {
        // FNV-1a over the label; any spread will do, splitmix mixes it.
        let hash =
            label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Rng::new(seed ^ hash.rotate_left(17))
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in 0..n; 0 for n = 0. The bias of the multiplication is below 2^-32 for any n used here.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Exponential with this mean.
    pub fn exp(&mut self, mean: f64) -> f64 {
        -libm::log(1.0 - self.unit()) * mean
    }

    /// Standard normal (Box and Muller, one of the two values).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Log-normal with this median and this standard deviation of the logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(sigma * self.normal())
    }
}

fn splitmix(x: &mut u64) -> u64 {
    *x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *x;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_decide_everything() {
        let draw = |seed| (0..8).scan(Rng::new(seed), |r, _| Some(r.next_u64())).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_ne!(Rng::of(7, "a").next_u64(), Rng::of(7, "b").next_u64());
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut rng = Rng::new(1);
        let n = 40_000;
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let normal: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        assert!(mean(&normal).abs() < 0.02);
        assert!((mean(&normal.iter().map(|x| x * x).collect::<Vec<_>>()) - 1.0).abs() < 0.03);
        assert!((mean(&(0..n).map(|_| rng.exp(3.0)).collect::<Vec<_>>()) - 3.0).abs() < 0.06);
        let mut sizes: Vec<f64> = (0..n).map(|_| rng.log_normal(5.0, 1.0)).collect();
        sizes.sort_by(f64::total_cmp);
        assert!((sizes[n / 2] - 5.0).abs() < 0.2);
        assert!((0..1000).all(|_| rng.below(3) < 3));
    }
}
