//! Random amounts of the kinds that real runs have.
//!
//! Never anything but what follows from the seed.

use flowmeter_model::IdSource;

/// A source of random amounts and ids.
pub(super) struct Noise {
    pub(super) ids: IdSource,
}

impl Noise {
    pub(super) fn new(ids: IdSource) -> Self {
        Self { ids }
    }

    /// Between 0 and 1, never either.
    pub(super) fn unit(&mut self) -> f64 {
        ((self.ids.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    pub(super) fn chance(&mut self, of: f64) -> bool {
        self.unit() < of
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
    }

    /// Around `median`; half of all values are within a factor of about `1 + 0.67 * spread` of it.
    pub(super) fn around(&mut self, median: f64, spread: f64) -> f64 {
        median * (spread * self.normal()).exp()
    }

    /// How often something happens that happens `mean` times on average (Poisson).
    pub(super) fn count(&mut self, mean: f64) -> usize {
        let least = (-mean).exp();
        let (mut product, mut count) = (self.unit(), 0);
        while product > least {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// An hour between 0 and 24: most runs are made between 8 and 18.
    pub(super) fn hour_of_day(&mut self) -> f64 {
        if self.chance(0.25) {
            24.0 * self.unit()
        } else {
            8.0 + 10.0 * self.unit()
        }
    }
}
