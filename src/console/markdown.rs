//! The manual's Markdown as HTML. Pure.
//!
//! Knows what the manual's pages have: headings, paragraphs, lists, tables, blocks of code, and within a line
//! code, bold, links. What it does not know is shown as it stands; nothing of a page becomes HTML by itself.
//! A link to another page leads there, one to a file of the repository is its text alone.

use maud::{Markup, html};

/// Draws a page.
pub(super) fn drawn(text: &str) -> Markup {
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (block, next) = block(&lines, at);
        blocks.extend(block);
        at = next;
    }
    html! { @for block in blocks { (block) } }
}

/// Draws the block that begins at a line; gives the line behind it.
fn block(lines: &[&str], at: usize) -> (Option<Markup>, usize) {
    let line = lines[at];
    let plain = line.trim_start();
    if plain.is_empty() {
        return (None, at + 1);
    }
    if plain.starts_with("<!--") {
        let end = lines[at..].iter().position(|line| line.contains("-->"));
        return (None, at + end.unwrap_or(0) + 1);
    }
    if let Some(fence) = plain.strip_prefix("```") {
        return code(lines, (at, line.len() - plain.len()), fence);
    }
    if let Some((level, title)) = heading(plain) {
        return (Some(titled(level, title)), at + 1);
    }
    if plain.starts_with('|') {
        return table(lines, at);
    }
    if item(plain).is_some() {
        return list(lines, at);
    }
    let end = end_of_paragraph(lines, at);
    let text: Vec<&str> = lines[at..end].iter().map(|line| line.trim()).collect();
    (Some(html! { p { (inline(&text.join(" "))) } }), end)
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    line[level..].strip_prefix(' ').filter(|_| level > 0).map(|title| (level, title))
}

/// The page's headline stands above it already, so its parts are the second level.
fn titled(level: usize, title: &str) -> Markup {
    let id: String = title
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            _ => (c.is_alphanumeric() || c == '-').then_some(c),
        })
        .collect();
    html! {
        @match level {
            1 => {},
            2 => h2 id=(id) { (inline(title)) },
            _ => h3 id=(id) { (inline(title)) },
        }
    }
}

fn code(lines: &[&str], (at, indent): (usize, usize), _language: &str) -> (Option<Markup>, usize) {
    let inside = &lines[at + 1..];
    let end = inside.iter().position(|line| line.trim_start().starts_with("```"));
    let end = end.unwrap_or(inside.len());
    let text: Vec<&str> =
        inside[..end].iter().map(|line| line.get(indent..).unwrap_or(line.trim_start())).collect();
    (Some(html! { pre tabindex="0" { code { (text.join("\n")) } } }), at + end + 2)
}

fn table(lines: &[&str], at: usize) -> (Option<Markup>, usize) {
    let rows: Vec<&str> = lines[at..]
        .iter()
        .map(|line| line.trim())
        .take_while(|line| line.starts_with('|'))
        .collect();
    let end = at + rows.len();
    let is_ruled = rows.get(1).is_some_and(|row| row.bytes().all(|byte| b"|-: ".contains(&byte)));
    let (head, body) = if is_ruled { (rows.first(), &rows[2..]) } else { (None, &rows[..]) };
    let drawn = html! {
        div.card.wide tabindex="0" role="group" aria-label="Table" {
            table {
                @if let Some(head) = head {
                    thead { tr { @for cell in cells(head) { th { (inline(&cell)) } } } }
                }
                tbody { @for row in body { tr { @for cell in cells(row) { td { (inline(&cell)) } } } } }
            }
        }
    };
    (Some(drawn), end)
}

/// The cells of a row; a bar behind a backslash is a letter.
fn cells(row: &str) -> Vec<String> {
    let inside = row.strip_prefix('|').unwrap_or(row);
    let inside = inside.strip_suffix('|').unwrap_or(inside);
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let mut letters = inside.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'|') => cell.extend(letters.next()),
            '|' => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            letter => cell.push(letter),
        }
    }
    cells.push(cell.trim().to_owned());
    cells
}

/// What stands behind the sign of a list's item, and whether that is a number.
fn item(line: &str) -> Option<(&str, bool)> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = line[digits..].strip_prefix(". ").filter(|_| digits > 0);
    let dotted = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
    numbered.map(|text| (text, true)).or(dotted.map(|text| (text, false)))
}

/// A list: items with what is indented below each.
fn list(lines: &[&str], at: usize) -> (Option<Markup>, usize) {
    let is_numbered = item(lines[at].trim_start()).is_some_and(|(_, is_numbered)| is_numbered);
    let indent = indent_of(lines[at]);
    let (mut items, mut next) = (Vec::new(), at);
    while let Some((text, numbered)) = lines.get(next).and_then(|line| item(line.trim_start())) {
        if numbered != is_numbered || indent_of(lines[next]) != indent {
            break;
        }
        let end = end_of_item(lines, next + 1, indent);
        let mut inside = vec![text.to_owned()];
        inside.extend(lines[next + 1..end].iter().map(|line| unindented(line, indent)));
        items.push(inside.join("\n"));
        next = end;
    }
    let drawn_items = html! { @for item in &items { li { (drawn(item)) } } };
    let list = if is_numbered {
        html! { ol { (drawn_items) } }
    } else {
        html! { ul { (drawn_items) } }
    };
    (Some(list), next)
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A line of an item without what puts it below the item: two or three blanks.
fn unindented(line: &str, indent: usize) -> String {
    let drop = indent_of(line).min(indent + 3);
    line[drop..].to_owned()
}

/// Where an item ends: before a line that is no further in, blank lines aside.
fn end_of_item(lines: &[&str], from: usize, indent: usize) -> usize {
    let mut end = from;
    for (at, line) in lines.iter().enumerate().skip(from) {
        if line.trim().is_empty() {
            continue;
        }
        if indent_of(line) <= indent {
            break;
        }
        end = at + 1;
    }
    // Items that follow each other with a blank line between them are one list.
    let after = lines[end..].iter().position(|line| !line.trim().is_empty()).map(|skip| end + skip);
    match after {
        Some(after) if item(lines[after].trim_start()).is_some() => after,
        Some(_) | None => end,
    }
}

fn end_of_paragraph(lines: &[&str], at: usize) -> usize {
    let ends = |line: &&str| {
        let plain = line.trim_start();
        plain.is_empty()
            || plain.starts_with("```")
            || plain.starts_with('|')
            || heading(plain).is_some()
            || item(plain).is_some()
    };
    lines[at + 1..].iter().position(ends).map_or(lines.len(), |end| at + 1 + end)
}

/// Draws what is within a line.
fn inline(text: &str) -> Markup {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(['`', '*', '[']).unwrap_or(rest.len());
        let (plain, marked) = rest.split_at(start);
        if !plain.is_empty() {
            parts.push(html! { (plain) });
        }
        let Some((part, behind)) = span_of(marked) else {
            let width = marked.chars().next().map_or(0, char::len_utf8);
            if width > 0 {
                parts.push(html! { (&marked[..width]) });
            }
            rest = &marked[width..];
            continue;
        };
        parts.push(part);
        rest = behind;
    }
    html! { @for part in parts { (part) } }
}

/// The code, bold or link that a text begins with, and what is behind it.
fn span_of(text: &str) -> Option<(Markup, &str)> {
    if let Some(inside) = text.strip_prefix('`') {
        let (code, behind) = inside.split_once('`')?;
        return Some((html! { code { (code) } }, behind));
    }
    if let Some(inside) = text.strip_prefix("**") {
        let (bold, behind) = inside.split_once("**")?;
        return Some((html! { b { (inline(bold)) } }, behind));
    }
    if let Some(inside) = text.strip_prefix('*') {
        let (slanted, behind) = inside.split_once('*')?;
        return Some((html! { em { (inline(slanted)) } }, behind));
    }
    let (label, behind) = text.strip_prefix('[')?.split_once("](")?;
    let (place, behind) = behind.split_once(')')?;
    let label = inline(label);
    let link = match target(place) {
        Some(target) => html! { a href=(target) { (label) } },
        None => label,
    };
    Some((link, behind))
}

/// Where a link leads: to a page of the manual, within the page, or out by https.
fn target(place: &str) -> Option<String> {
    if place.starts_with("https://") || place.starts_with('#') {
        return Some(place.to_owned());
    }
    let (page, part) =
        place.split_once('#').map_or((place, None), |(page, part)| (page, Some(part)));
    let topic = page.strip_suffix(".md").filter(|topic| !topic.contains('/'))?;
    let part = part.map(|part| format!("#{part}")).unwrap_or_default();
    Some(format!("/console/manual/{topic}{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manual::PAGES;

    #[test]
    fn what_the_manual_has_is_drawn() {
        for (text, html) in [
            ("# Title\n\nOne\ntwo.", "<p>One two.</p>"),
            ("## A part", "<h2 id=\"a-part\">A part</h2>"),
            ("a `b|c` **d** *e*", "<p>a <code>b|c</code> <b>d</b> <em>e</em></p>"),
            ("[x](agents.md#y)", "<p><a href=\"/console/manual/agents#y\">x</a></p>"),
            ("[x](../../examples/bot.rs)", "<p>x</p>"),
            ("2 * 3 and [x", "<p>2 * 3 and [x</p>"),
            ("- a\n  b\n- c\n", "<ul><li><p>a b</p></li><li><p>c</p></li></ul>"),
            (
                "1. a\n\n   ```sh\n   b\n   ```\n\n2. c",
                "<ol><li><p>a</p><pre tabindex=\"0\"><code>b</code></pre></li><li><p>c</p></li></ol>",
            ),
            ("<!-- a\nb -->\nc", "<p>c</p>"),
            ("<script>", "<p>&lt;script&gt;</p>"),
        ] {
            assert_eq!(drawn(text).into_string(), html, "{text}");
        }
    }

    #[test]
    fn a_bar_behind_a_backslash_is_no_border() {
        assert_eq!(cells("| `a\\|b` | c |"), ["`a|b`", "c"]);
        let table = drawn("| a | b |\n| --- | --- |\n| 1 | 2 |\n").into_string();
        assert!(table.contains("<thead><tr><th>a</th><th>b</th></tr></thead>"), "{table}");
        assert!(table.contains("<tbody><tr><td>1</td><td>2</td></tr></tbody>"), "{table}");
    }

    #[test]
    fn no_page_keeps_its_signs() {
        for page in PAGES {
            let drawn = drawn(page.text).into_string();
            for sign in ["<p>|", "<p>```", "<p>#", "**", "](", "| ---"] {
                assert!(!drawn.contains(sign), "{} has {sign}", page.topic);
            }
        }
    }
}
