//! Parts of dates, in UTC, of a number of seconds since 1970.

/// A day of the Gregorian calendar.
struct Day {
    year: i64,
    month: i64,
    day: i64,
    /// Days since 1970.
    number: i64,
}

/// The whole seconds of a value.
fn seconds(value: f64) -> i64 {
    value as i64
}

/// Days from the civil date, by eras of 400 years beginning in March.
fn number_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date(value: f64) -> Day {
    let number = seconds(value).div_euclid(86_400);
    let shifted = number + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    Day { year, month, day, number }
}

pub(crate) fn year(value: f64) -> f64 {
    date(value).year as f64
}

pub(crate) fn month(value: f64) -> f64 {
    date(value).month as f64
}

pub(crate) fn day_of_month(value: f64) -> f64 {
    date(value).day as f64
}

/// 0 is Sunday.
pub(crate) fn day_of_week(value: f64) -> f64 {
    (date(value).number + 4).rem_euclid(7) as f64
}

/// From 1.
pub(crate) fn day_of_year(value: f64) -> f64 {
    let day = date(value);
    (day.number - number_of(day.year, 1, 1) + 1) as f64
}

pub(crate) fn days_in_month(value: f64) -> f64 {
    let Day { year, month, .. } = date(value);
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    (number_of(next_year, next_month, 1) - number_of(year, month, 1)) as f64
}

pub(crate) fn hour(value: f64) -> f64 {
    (seconds(value).rem_euclid(86_400) / 3_600) as f64
}

pub(crate) fn minute(value: f64) -> f64 {
    (seconds(value).rem_euclid(3_600) / 60) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_dates() {
        // 2026-11-22T14:10:01Z, a Sunday.
        let now = 1_795_356_601.0;
        assert_eq!([year(now), month(now), day_of_month(now)], [2026.0, 11.0, 22.0]);
        assert_eq!([hour(now), minute(now), day_of_week(now)], [14.0, 10.0, 0.0]);
        assert_eq!([day_of_year(now), days_in_month(now)], [326.0, 30.0]);
    }

    #[test]
    fn leap_years_and_times_before_1970() {
        // 2024-02-29 and 1969-12-31T23:59:59Z.
        assert_eq!([days_in_month(1_709_164_800.0), day_of_month(1_709_164_800.0)], [29.0, 29.0]);
        assert_eq!([year(-1.0), month(-1.0), day_of_month(-1.0), hour(-1.0)], [1969.0, 12.0, 31.0, 23.0]);
        assert_eq!(day_of_year(1_735_603_200.0), 366.0);
    }
}
