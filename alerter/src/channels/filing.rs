//! What is done at a desk, once and whole, whatever the desk takes in one text.

use super::{Comment, DeliveryError, Desk, News, Receipt, Ticket};

/// Files a ticket, or completes the one that the desk was `found` to have: what is too long for one text there goes on
/// in comments.
pub(crate) async fn file(
    desk: &dyn Desk,
    mut ticket: Ticket,
    found: Option<Receipt>,
) -> Result<Receipt, DeliveryError> {
    let text = std::mem::take(&mut ticket.body);
    let mut parts = parts(&text, desk.longest().unwrap_or(usize::MAX)).into_iter();
    ticket.body = parts.next().unwrap_or_default().to_owned();
    let again = found.is_some();
    let mut receipt = match found {
        Some(receipt) => receipt,
        None => desk.create(&ticket).await?,
    };
    for (part, number) in parts.zip(2..) {
        let key = format!("{}/{number}", ticket.key);
        let text = format!("The ticket's text goes on ({number}):\n\n{part}");
        let comment = Comment { key: &key, text: &text, at: ticket.at, news: News::Progress };
        match add_comment(desk, &receipt.remote, &comment, again).await {
            Ok(_) => {}
            Err(DeliveryError::Permanent { why }) => {
                receipt.detail.push_str(&format!("; its text ends before part {number}: {why}"));
                break;
            }
            // The ticket is there, and must be found before the rest is tried again.
            Err(error) => {
                let why = format!("it was filed, its text is there up to part {number}: {error}");
                return Err(DeliveryError::Unknown { why });
            }
        }
    }
    Ok(receipt)
}

/// Adds a comment to a ticket once, and turns the ticket that has it as the desk is set to. `again` says that
/// an earlier attempt may have come through.
pub(crate) async fn add_comment(
    desk: &dyn Desk,
    remote: &str,
    comment: &Comment<'_>,
    again: bool,
) -> Result<Receipt, DeliveryError> {
    let found = if again && desk.searchable() { desk.find_comment(remote, comment.key).await? } else { None };
    let receipt = match found {
        Some(receipt) => receipt,
        None => desk.comment(remote, comment).await?,
    };
    // The comment stands: whatever becomes of the rest can be tried again.
    match desk.turn(&receipt.remote, comment.news).await {
        Err(DeliveryError::Unknown { why }) => Err(DeliveryError::Retry { after: None, why }),
        turned => turned.map(|()| receipt),
    }
}

/// A text in parts of at most `most` characters, at least one: cut at the end of a line where there is one. More text
/// at the end leaves all parts but the last as they are.
fn parts(text: &str, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((end, _)) = rest.char_indices().nth(most.max(1)) {
        let cut = rest[..end].rfind('\n').map_or(end, |at| at + 1);
        let (part, after) = rest.split_at(cut);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_the_ends_of_lines_and_nothing_of_it_is_lost() {
        for (text, most, expected) in [
            ("", 5, &[""][..]),
            ("12345", 5, &["12345"]),
            ("12\n45\n", 5, &["12\n", "45\n"]),
            ("12\n45\n", 6, &["12\n45\n"]),
            ("1234567", 5, &["12345", "67"]),
            ("äöü\nßé", 4, &["äöü\n", "ßé"]),
            ("12", 0, &["1", "2"]),
            ("1\n2\n3", usize::MAX, &["1\n2\n3"]),
        ] {
            assert_eq!(parts(text, most), expected, "{text:?} in {most}");
        }
    }

    proptest::proptest! {
        #[test]
        fn more_text_leaves_all_parts_but_the_last(text in "[a-zé\n]{0,80}", more in "[a-z\n]{0,20}", most in 1_usize..20) {
            let (before, whole) = (parts(&text, most), format!("{text}{more}"));
            let after = parts(&whole, most);
            proptest::prop_assert_eq!(after.concat(), &*whole);
            proptest::prop_assert!(after.iter().all(|part| part.chars().count() <= most));
            proptest::prop_assert_eq!(&after[..before.len() - 1], &before[..before.len() - 1]);
        }
    }
}
