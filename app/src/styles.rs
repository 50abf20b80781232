//! The style sheet: design tokens first, then one file per component or screen.

/// The whole style sheet, for the platform to put into the document.
pub const STYLES: &str = concat!(
    include_str!("../styles/tokens.css"),
    include_str!("../styles/base.css"),
    include_str!("../styles/button.css"),
    include_str!("../styles/field.css"),
    include_str!("../styles/avatar.css"),
    include_str!("../styles/person.css"),
    include_str!("../styles/notice.css"),
    include_str!("../styles/layout.css"),
    include_str!("../styles/gate.css"),
    include_str!("../styles/compose.css"),
    include_str!("../styles/timeline.css"),
    include_str!("../styles/note.css"),
    include_str!("../styles/network.css"),
    include_str!("../styles/dialog.css"),
    include_str!("../styles/sheets.css"),
);
