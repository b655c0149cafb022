//! Every message in a real Chromium, at the width of a phone and of a mail program, light and dark: nothing is wider
//! than its window, and pictures in `.ci/work/pictures/mail`, to be looked at.

use basiq_alerter::channels::message::{Renderer, TEMPLATES};
use stories::real::{Browser, pictures};

use crate::messages::{connection, contact, message, sender};

#[test]
fn every_message_fits_a_phone_and_has_no_barrier() {
    let Some(browser) = Browser::find() else { return };
    let renderer = Renderer::new(sender(), None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for template in TEMPLATES {
        let mut several = message(template);
        several.connections.push(connection("AU00001", "Nucleus Bank"));
        several.connections.push(connection("AU00002", &"Bank-of-a-very-long-name".repeat(3)));
        for (name, message) in
            [(template.to_owned(), message(template)), (format!("{template}-several"), several)]
        {
            let html = renderer.render(&message, &contact()).unwrap().html;
            std::fs::write(folder.path().join(format!("{name}.html")), html).unwrap();
        }
    }
    let pictures = pictures("mail").unwrap();
    let arguments = [folder.path().to_str().unwrap(), pictures.to_str().unwrap()];
    browser.run("mail.mjs", &arguments).unwrap();
    for template in TEMPLATES {
        for view in ["375-light", "375-dark", "800-light", "800-dark"] {
            assert!(pictures.join(format!("{template}-{view}.png")).is_file(), "{template} {view}");
        }
    }
}
