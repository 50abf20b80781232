//! Times as people read them.

/// How long ago something was, in the largest unit that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ago {
    /// Under a minute, or ahead: clocks differ.
    Now,
    /// 1 to 59.
    Minutes(u64),
    /// 1 to 23.
    Hours(u64),
    /// 1 to 6.
    Days(u64),
    /// Longer: the date says more.
    Long,
}

/// How long before `now` a time was, both in seconds since the epoch.
pub(crate) fn ago(now: u64, then: u64) -> Ago {
    match now.saturating_sub(then) {
        0..60 => Ago::Now,
        seconds @ 60..3_600 => Ago::Minutes(seconds / 60),
        seconds @ 3_600..86_400 => Ago::Hours(seconds / 3_600),
        seconds @ 86_400..604_800 => Ago::Days(seconds / 86_400),
        _ => Ago::Long,
    }
}

/// A moment in the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: u32,
    /// 1 to 31.
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
}

/// The date and time of `seconds` since the epoch, `offset` minutes ahead of UTC. Times beyond the year 9999, which
/// only a hostile event has, are shown as its end.
pub(crate) fn civil(seconds: u64, offset: i32) -> Civil {
    const END_OF_9999: i64 = 253_402_300_799;
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX).min(END_OF_9999);
    let local = (seconds + i64::from(offset) * 60).clamp(0, END_OF_9999);
    // Days to a date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let days = local / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let part = |value: i64| u32::try_from(value).unwrap_or_default();
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: part(month),
        day: part(of_year - (153 * shifted_month + 2) / 5 + 1),
        hour: part(local / 3_600 % 24),
        minute: part(local / 60 % 60),
        second: part(local % 60),
    }
}

/// A time as the `datetime` attribute of `<time>` wants it.
pub(crate) fn iso(seconds: u64) -> String {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = civil(seconds, 0);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_at_their_borders() {
        let now = 10_000_000;
        assert_eq!(ago(now, now + 500), Ago::Now);
        assert_eq!(ago(now, now - 59), Ago::Now);
        assert_eq!(ago(now, now - 60), Ago::Minutes(1));
        assert_eq!(ago(now, now - 3_599), Ago::Minutes(59));
        assert_eq!(ago(now, now - 3_600), Ago::Hours(1));
        assert_eq!(ago(now, now - 86_399), Ago::Hours(23));
        assert_eq!(ago(now, now - 86_400), Ago::Days(1));
        assert_eq!(ago(now, now - 604_799), Ago::Days(6));
        assert_eq!(ago(now, now - 604_800), Ago::Long);
    }

    #[test]
    fn dates_hold_over_leap_days_and_offsets() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(iso(1_767_225_600), "2026-01-01T00:00:00Z");
        let tokyo = civil(1_767_193_200, 540);
        assert_eq!((tokyo.year, tokyo.month, tokyo.day, tokyo.hour), (2026, 1, 1, 0));
        assert_eq!(civil(60, -720), civil(0, 0));
        assert_eq!(iso(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
