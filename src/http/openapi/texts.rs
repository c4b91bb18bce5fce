//! The texts of operations: a summary of one sentence on one line, and the rest as the description.

use utoipa::openapi::path::Operation;

/// Moves what follows the first sentence of the summary to the beginning of the description.
pub(super) fn split_summary(operation: &mut Operation) {
    let Some(summary) = operation.summary.take() else {
        return;
    };
    let summary = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    let (first, rest) = match summary.find(". ") {
        Some(end) => (summary[..=end].to_owned(), summary[end + 2..].to_owned()),
        None => (summary, String::new()),
    };
    let description = operation.description.take().unwrap_or_default();
    let texts = [rest, description];
    let texts: Vec<&str> = texts
        .iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    operation.summary = Some(first);
    operation.description = (!texts.is_empty()).then(|| texts.join("\n\n"));
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::OperationBuilder;

    use super::*;

    #[test]
    fn summary_is_one_sentence_on_one_line() {
        let mut operation = OperationBuilder::new()
            .summary(Some("Save a report. The caller\nowns it."))
            .description(Some("More."))
            .build();
        split_summary(&mut operation);
        assert_eq!(operation.summary.as_deref(), Some("Save a report."));
        assert_eq!(
            operation.description.as_deref(),
            Some("The caller owns it.\n\nMore.")
        );
    }
}
