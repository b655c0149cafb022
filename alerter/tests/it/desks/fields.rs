//! Routes and fields that depend on the ticket.

use basiq_alerter::{
    channels::{Desk, Plugin, desks},
    config::{DeskRoute, Routes},
};

use crate::channels_files::parts;

#[test]
fn a_ticket_goes_to_the_first_desk_whose_route_fits_it() {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let route = |institutions: &[&str], scenarios: &[&str], severities: &[&str], desk: &str| DeskRoute {
        institutions: list(institutions),
        scenarios: list(scenarios),
        severities: list(severities),
        desk: desk.to_owned(),
    };
    let routes = Routes {
        desk: Some("usual".to_owned()),
        desks: vec![
            route(&["AU1"], &["unsupported", "unknown"], &[], "basiq"),
            route(&["AU1", "AU2"], &[], &[], "banks"),
            route(&[], &[], &["critical"], "urgent"),
        ],
        ..Routes::default()
    };
    for (institution, scenario, severity, desk) in [
        ("AU1", "unknown", "critical", "basiq"),
        ("AU1", "service-unavailable", "info", "banks"),
        ("AU2", "unknown", "info", "banks"),
        ("AU3", "unknown", "critical", "urgent"),
        ("AU3", "unknown", "", "usual"),
    ] {
        assert_eq!(routes.desk(institution, scenario, severity), desk, "{institution} {scenario} {severity}");
    }
}

#[test]
fn a_field_that_cannot_work_is_refused_at_the_start_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "token").unwrap();
    let token = folder.path().join("token");
    let build = |fields: &str| {
        let settings = format!(
            "name: jira\nurl: https://a.test\nemail: a@b.test\ntoken_file: {}\nproject: BANK\nissue_type: Task\n\
             fields: {fields}\n",
            token.display()
        );
        let settings: desks::jira::Settings = serde_saphyr::from_str(&settings).unwrap();
        let made: Result<std::sync::Arc<dyn Desk>, _> = settings.build(&parts(folder.path()));
        made.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        build("{customfield_1: 5, priority: {name: '{{ severity }}'}, labels: [a, '{{ scenario }}']}"),
        ""
    );
    for (fields, place) in [
        ("{priority: {name: '{{ sevrity }}'}}", "`priority.name`"),
        ("{customfield_1: [{value: '{% if %}'}]}", "`customfield_1.value`"),
    ] {
        let error = build(fields);
        assert!(error.contains(place), "{fields}: {error}");
    }
}
