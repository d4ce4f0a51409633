//! The numbers of order flow: one [`Profile`] for each kind of market, multiplied by the [`Regime`] of the moment.

/// Rates, distances and sizes of one instrument's order flow.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Placements behind the touch a second; as many cancels are tried.
    pub behind_per_s: f64,
    /// Orders that join the touch a second; as many leave it.
    pub touch_per_s: f64,
    /// Takers a second that no other taker provoked.
    pub take_per_s: f64,
    /// Moves of the fair value a second.
    pub move_per_s: f64,
    /// Chance that a taker is followed by another of the same direction.
    pub take_again: f64,
    /// Chance that what stands in the way of a move is traded rather than withdrawn.
    pub sweep: f64,
    /// Standard deviation of the fair value over one second, basis points.
    pub sigma_bps: f64,
    /// Patient orders on each side.
    pub orders_per_side: f64,
    /// Median distance of a patient order from its touch, ticks.
    pub distance_ticks: f64,
    /// Standard deviation of the distance's logarithm.
    pub distance_sigma: f64,
    /// Median number of orders re-quoted when the fair value moves.
    pub burst_orders: f64,
    /// Median size of a patient order, lots.
    pub order_lots: f64,
    /// Standard deviation of its logarithm.
    pub order_sigma: f64,
    /// Median size of an order at the touch, lots.
    pub touch_lots: f64,
    /// Median size of a taker, lots.
    pub take_lots: f64,
    /// Standard deviation of its logarithm.
    pub take_sigma: f64,
}

impl Profile {
    /// A liquid spot pair priced `px` with this tick and lot; sizes scale to the value they have on BTCUSDT.
    pub fn spot(px: f64, tick: f64, lot: f64) -> Profile {
        let unit = 60_000.0 / px / lot;
        Profile {
            behind_per_s: 90.0,
            touch_per_s: 52.0,
            take_per_s: 13.0,
            move_per_s: 7.0,
            take_again: 0.5,
            sweep: 0.05,
            sigma_bps: 1.2,
            orders_per_side: 650.0,
            distance_ticks: px * 4.2e-4 / tick,
            distance_sigma: 1.5,
            burst_orders: 19.0,
            order_lots: 0.03 * unit,
            order_sigma: 1.6,
            touch_lots: 0.35 * unit,
            take_lots: 0.0005 * unit,
            take_sigma: 2.3,
        }
    }

    /// A liquid linear perpetual.
    pub fn usdm(px: f64, tick: f64, lot: f64) -> Profile {
        let unit = 60_000.0 / px / lot;
        Profile {
            behind_per_s: 400.0,
            touch_per_s: 75.0,
            take_per_s: 26.0,
            move_per_s: 3.0,
            take_again: 0.5,
            sweep: 0.08,
            sigma_bps: 1.2,
            orders_per_side: 3200.0,
            distance_ticks: px * 6.5e-4 / tick,
            distance_sigma: 1.2,
            burst_orders: 190.0,
            order_lots: 0.07 * unit,
            order_sigma: 1.6,
            touch_lots: 0.5 * unit,
            take_lots: 0.011 * unit,
            take_sigma: 2.1,
        }
    }

    /// A pair whose tick is so large that queues are long and decide who is filled: half the size of a touch is eaten, half is
    /// withdrawn, in some seconds each, and a touch lives about ten. Sizes are lots of one.
    pub fn large_tick() -> Profile {
        Profile {
            behind_per_s: 30.0,
            touch_per_s: 12.0,
            take_per_s: 4.0,
            move_per_s: 1.5,
            take_again: 0.4,
            sweep: 0.3,
            sigma_bps: 0.6,
            orders_per_side: 650.0,
            distance_ticks: 30.0,
            distance_sigma: 1.5,
            burst_orders: 6.0,
            order_lots: 15.0,
            order_sigma: 1.2,
            touch_lots: 20.0,
            take_lots: 6.0,
            take_sigma: 1.3,
        }
    }

    /// Visits of all kinds a second, in a calm market.
    pub fn visits_per_s(&self) -> f64 {
        2.0 * (self.behind_per_s + self.touch_per_s) + self.take_per_s + self.move_per_s
    }
}

/// The market's mood: multiplies the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// The profile as it is.
    Calm,
    /// A steady drift of about one standard deviation a second.
    Trending,
    /// Three times the moves, twice the pace.
    Volatile,
    /// A third of the depth and pace, wide spreads that close slowly.
    Thin,
}

impl Regime {
    /// All regimes.
    pub const ALL: [Regime; 4] = [Regime::Calm, Regime::Trending, Regime::Volatile, Regime::Thin];

    /// The regime for a number below 20: half of the time calm, a quarter trending, the rest volatile or thin.
    pub const fn drawn(n: u64) -> Regime {
        match n {
            0..10 => Regime::Calm,
            10..15 => Regime::Trending,
            15..18 => Regime::Volatile,
            _ => Regime::Thin,
        }
    }

    /// Factor on the fair value's standard deviation.
    pub const fn sigma(self) -> f64 {
        match self {
            Regime::Calm | Regime::Trending => 1.0,
            Regime::Volatile => 3.0,
            Regime::Thin => 1.5,
        }
    }

    /// Drift in standard deviations a second.
    pub const fn drift(self) -> f64 {
        match self {
            Regime::Trending => 0.5,
            _ => 0.0,
        }
    }

    /// Factor on the rate of visits.
    pub const fn pace(self) -> f64 {
        match self {
            Regime::Calm => 1.0,
            Regime::Trending => 1.2,
            Regime::Volatile => 2.0,
            Regime::Thin => 0.33,
        }
    }

    /// Factor on the number of patient orders.
    pub const fn depth(self) -> f64 {
        match self {
            Regime::Calm | Regime::Trending => 1.0,
            Regime::Volatile => 0.8,
            Regime::Thin => 0.4,
        }
    }

    /// Chance that a new quote leaves a gap.
    pub const fn wide(self) -> f64 {
        match self {
            Regime::Calm | Regime::Trending => 0.02,
            Regime::Volatile => 0.1,
            Regime::Thin => 0.5,
        }
    }

    /// A spread wider than this, in ticks, is refilled.
    pub const fn spread_ticks(self) -> i64 {
        match self {
            Regime::Thin => 10,
            _ => 1,
        }
    }

    /// Mean time until a wide spread is refilled, seconds.
    pub const fn refill_s(self) -> f64 {
        match self {
            Regime::Calm | Regime::Trending => 0.004,
            Regime::Volatile => 0.01,
            Regime::Thin => 0.2,
        }
    }
}
