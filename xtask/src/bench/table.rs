//! Tables, and the marked blocks of files that they are written into.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// A table: its head, and rows of as many cells. The first column is of words, the others of figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let all = || [&self.head].into_iter().chain(&self.rows);
        let width =
            |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.head.len()).map(|column| width(column).unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        all().map(line).collect()
    }

    /// For a page.
    pub(super) fn markdown(&self) -> String {
        let line = |row: &[String]| format!("| {} |\n", row.join(" | "));
        let rule: Vec<_> =
            (0..self.head.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}|{}|\n{rows}", line(&self.head), rule.join("|"))
    }
}

/// Puts this between the marks `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` of a file.
///
/// # Errors
/// When the file has no such marks.
pub(super) fn write_block(file: &Path, name: &str, text: &str) -> Result<()> {
    let page = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let page = replaced(&page, name, text).with_context(|| {
        format!("{} has no block <!-- bench:{name} --> … <!-- /bench:{name} -->", file.display())
    })?;
    fs::write(file, page).with_context(|| format!("{}", file.display()))
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (open, close) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let (before, rest) = page.split_once(&open)?;
    let (_, after) = rest.split_once(&close)?;
    Some(format!("{before}{open}\n{}\n{close}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["server", "ratio"]);
        table.row(["bare".to_owned(), "1.00".to_owned()]);
        table.row(["a long name".to_owned(), "12.50".to_owned()]);
        table
    }

    #[test]
    fn a_terminal_gets_columns() {
        assert_eq!(table().text(), "server       ratio\nbare          1.00\na long name  12.50\n");
    }

    #[test]
    fn a_page_gets_a_table_with_figures_to_the_right() {
        assert_eq!(
            table().markdown(),
            "| server | ratio |\n|---|---:|\n| bare | 1.00 |\n| a long name | 12.50 |\n"
        );
    }

    #[test]
    fn a_block_is_replaced_and_all_around_it_stays() {
        let page = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb <!-- bench:y --><!-- /bench:y -->\n";
        let once = replaced(page, "x", "new\n").unwrap();
        assert_eq!(
            once,
            "a\n<!-- bench:x -->\nnew\n<!-- /bench:x -->\nb <!-- bench:y --><!-- /bench:y -->\n"
        );
        assert_eq!(replaced(&once, "x", "new").unwrap(), once);
        assert_eq!(replaced(page, "z", "new"), None);
        assert_eq!(replaced("<!-- bench:x --> no end", "x", "new"), None);
    }
}
