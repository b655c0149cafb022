//! The banks: about 330 connectors, several methods for some institutions, and the outages that change their status.

use std::{collections::HashMap, sync::LazyLock};

use jiff::Timestamp;

use crate::{
    draw::Draw,
    scenario::{ConnectorStatus, Method, Outage},
};

/// What an institution is, as `/connectors` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Institution {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) short_name: String,
    pub(crate) kind: &'static str,
    pub(crate) tier: &'static str,
    pub(crate) country: &'static str,
    /// `user`, `user-mfa` (asks always), `user-mfa-intermittent` (asks half the time).
    pub(crate) authorization: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) methods: Vec<Method>,
}

/// All institutions.
#[derive(Debug)]
pub(crate) struct Catalogue {
    institutions: Vec<Institution>,
    by_id: HashMap<String, usize>,
}

const PLACES: [&str; 25] = [
    "Arnhem",
    "Barossa",
    "Cowra",
    "Daintree",
    "Echuca",
    "Flinders",
    "Gawler",
    "Hunter",
    "Illawarra",
    "Jervis",
    "Kimberley",
    "Lachlan",
    "Mallee",
    "Narooma",
    "Otway",
    "Pilbara",
    "Quandong",
    "Riverina",
    "Strzelecki",
    "Tamar",
    "Ulladulla",
    "Wimmera",
    "Yarra",
    "Zeehan",
    "Bellbird",
];
const KINDS: [(&str, &str); 10] = [
    ("Bank", "Bank"),
    ("Mutual Bank", "Bank"),
    ("Savings Bank", "Bank"),
    ("Credit Union", "Credit Union"),
    ("Community Credit Union", "Credit Union"),
    ("Building Society", "Building Society"),
    ("Super", "Superannuation"),
    ("Finance", "Financial Services"),
    ("Cards", "Financial Services"),
    ("International", "Bank (Foreign)"),
];

/// The catalogue is the same in every sandbox.
pub(crate) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::new);

impl Catalogue {
    fn new() -> Self {
        let test = |id: &str, name: &str, short: &str, authorization, methods: &[Method]| Institution {
            id: id.to_owned(),
            name: name.to_owned(),
            short_name: short.to_owned(),
            kind: "Test Bank",
            tier: "1",
            country: "Australia",
            authorization,
            stage: "live",
            methods: methods.to_vec(),
        };
        // Basiq's documentation names these test banks, but an id for Hooli only.
        let mut institutions = vec![
            test("AU00000", "Hooli Bank", "Hooli", "user", &[Method::Web, Method::Openbanking]),
            test("AU00001", "Pied Piper Bank", "Pied Piper", "user-mfa", &[Method::Web]),
            test("AU00002", "Nucleus Bank", "Nucleus", "user-mfa-intermittent", &[Method::Web]),
        ];
        for (number, (place, (suffix, kind))) in
            PLACES.iter().flat_map(|place| KINDS.iter().map(move |kind| (place, kind))).enumerate()
        {
            let methods = match number % 3 {
                0 => vec![Method::Web, Method::Openbanking],
                1 => vec![Method::Web],
                _ => vec![Method::Openbanking],
            };
            institutions.push(Institution {
                id: format!("AU{:05}", number + 1001),
                name: format!("{place} {suffix}"),
                short_name: (*place).to_owned(),
                kind,
                tier: ["1", "2", "3", "4"][number % 4],
                country: if number % 20 == 19 { "New Zealand" } else { "Australia" },
                authorization: ["user", "user", "user", "user", "token"][number % 5],
                stage: if number % 25 == 24 { "beta" } else { "live" },
                methods,
            });
        }
        let by_id = institutions
            .iter()
            .enumerate()
            .map(|(index, institution)| (institution.id.clone(), index))
            .collect();
        Self { institutions, by_id }
    }

    pub(crate) fn all(&self) -> &[Institution] {
        &self.institutions
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Institution> {
        self.by_id.get(id).map(|index| &self.institutions[*index])
    }

    /// A bank of a generated user: few banks have most of them.
    pub(crate) fn pick(&self, draw: Draw) -> (&str, Method) {
        let skewed = draw.unit() * draw.with(1).unit();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        // a product of units, times a few hundred
        let index = 3 + (skewed * (self.institutions.len() - 3) as f64) as usize;
        let institution = &self.institutions[index.min(self.institutions.len() - 1)];
        let methods = &institution.methods;
        (&institution.id, methods[usize::from(draw.with(2).chance(0.5)) % methods.len()])
    }
}

/// Status of a connector at a time: that of the last told outage that covers it.
pub(crate) fn status(
    outages: &[Outage],
    institution: &str,
    method: Method,
    at: Timestamp,
    epoch: Timestamp,
) -> ConnectorStatus {
    covering(outages, institution, method, at, epoch).last().map(|outage| outage.status).unwrap_or_default()
}

/// The outages that cover a connector at a time.
pub(crate) fn covering<'a>(
    outages: &'a [Outage],
    institution: &'a str,
    method: Method,
    at: Timestamp,
    epoch: Timestamp,
) -> impl Iterator<Item = &'a Outage> {
    outages.iter().filter(move |outage| {
        outage.institution == institution
            && outage.method.is_none_or(|wanted| wanted == method)
            && outage.from.resolve(epoch) <= at
            && outage.until.is_none_or(|until| at < until.resolve(epoch))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_about_330_connectors_and_institutions_with_two() {
        let connectors: usize = CATALOGUE.all().iter().map(|institution| institution.methods.len()).sum();
        assert!((325..345).contains(&connectors), "{connectors}");
        assert_eq!(CATALOGUE.get("AU00000").unwrap().methods.len(), 2);
    }
}
