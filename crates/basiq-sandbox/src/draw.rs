//! Draws that depend on nothing but the seed and what they are drawn for: no state, no order, the same on every machine.

/// A value drawn from a seed, a purpose and numbers. Mixing is that of `SplitMix64`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// Begins a draw for a purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a keeps purposes apart.
        let purpose = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mix(seed ^ purpose))
    }

    /// Binds the draw to one more number.
    pub(crate) fn with(self, number: u64) -> Self {
        Self(mix(self.0 ^ mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// All 64 bits.
    pub(crate) fn bits(self) -> u64 {
        mix(self.0)
    }

    /// Even over 0 (inclusive) to 1 (exclusive).
    pub(crate) fn unit(self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // 53 bits are all that an f64 holds
        let bits = (self.bits() >> 11) as f64;
        bits / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn chance(self, share: f64) -> bool {
        self.unit() < share
    }

    /// Even over `from` to `to`, both inclusive.
    pub(crate) fn between(self, from: i64, to: i64) -> i64 {
        let range = to.abs_diff(from).saturating_add(1);
        from.saturating_add_unsigned(self.bits() % range)
    }
}

fn mix(mut value: u64) -> u64 {
    value ^= value >> 30;
    value = value.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value ^= value >> 27;
    value = value.wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_repeatable() {
        let hits = (0..10_000).filter(|n| Draw::new(1, "x").with(*n).chance(0.1)).count();
        assert!((900..1100).contains(&hits), "{hits}");
        assert_eq!(Draw::new(1, "x").with(5).bits(), Draw::new(1, "x").with(5).bits());
        assert_ne!(Draw::new(1, "x").with(5).bits(), Draw::new(1, "y").with(5).bits());
        assert!((0..1000).all(|n| (3..=9).contains(&Draw::new(2, "z").with(n).between(3, 9))));
    }
}
