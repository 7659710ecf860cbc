//! The report as one self-contained HTML page: a table of scores and, for each model, a bar chart of the noise after
//! each stage, the changed pixels and the pictures with the lowest agreement.

use super::report::Report;
use super::worst_pictures::WorstPicture;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use std::path::Path;

const STYLE: &str = "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:1340px;color:#222}\
table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:right}td:first-child,th:first-child{text-align:left}\
figure{margin:1em 0}figure img{width:24%;min-width:200px;margin-right:.6%}figcaption{color:#555}h2{margin-top:2em}";

/// Names of a picture's views.
const VIEWS: [&str; 4] = ["picture", "reference", "model", "difference"];

/// Renders the page.
pub fn render(reports: &[Report<'_>], reference: Option<&Path>) -> String {
    let mut page = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>beitle eval</title><style>{STYLE}</style><h1>beitle eval</h1>\n"
    );
    if let Some(path) = reference {
        let _ = writeln!(page, "<p>The reference is {}.</p>", escape(path.display()));
    }
    page += &score_table(reports);
    for report in reports.iter().filter(|r| !r.comparisons.is_empty()) {
        let _ = writeln!(page, "<h2>{}</h2>", escape(report.path.display()));
        if report.comparisons.iter().any(|c| c.logits.is_some()) {
            page += &noise_chart(report);
        }
        if !report.changed_pixels.worst().is_empty() {
            page += "<p>The changed pixels with the largest margins in the reference:</p><ul>";
            for pixel in report.changed_pixels.worst() {
                page += &format!("<li>{}", escape(report.describe(pixel)));
            }
            page += "</ul>\n";
        }
        for picture in report.worst_pictures.pictures() {
            page += &figure(picture);
        }
    }
    page + "</html>\n"
}

fn escape(text: impl std::fmt::Display) -> String {
    text.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A row of scores for each model.
fn score_table(reports: &[Report<'_>]) -> String {
    let mut table = String::from(
        "<table><tr><th>model<th>pictures<th>mIoU<th>aAcc<th>mAcc<th>pixel agreement<th>mIoU against the reference<th>logits, dB\n",
    );
    for report in reports {
        let number = |v: Option<f64>, digits| v.map_or("–".into(), |v| format!("{v:.digits$}"));
        let (labels, reference) = (report.labels.as_ref(), report.overall());
        let _ = writeln!(
            table,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
            escape(report.path.display()),
            report.pictures,
            number(labels.and_then(|s| s.mean_iou()), 5),
            number(labels.and_then(|s| s.pixel_accuracy()), 5),
            number(labels.and_then(|s| s.mean_accuracy()), 5),
            number(reference.as_ref().and_then(|r| r.0.pixel_accuracy()), 5),
            number(reference.as_ref().and_then(|r| r.0.mean_iou()), 5),
            number(reference.as_ref().and_then(|r| r.1?.db()), 1),
        );
    }
    table + "</table>\n"
}

/// The views of a picture side by side.
fn figure(picture: &WorstPicture) -> String {
    let mut figure = String::from("<figure>");
    for (view, name) in picture.views.iter().zip(VIEWS) {
        let data = STANDARD.encode(view);
        let _ = write!(figure, "<img alt=\"{name}\" title=\"{name}\" src=\"data:image/png;base64,{data}\">");
    }
    let (image, percent) = (escape(picture.image.display()), 100.0 * picture.agreement);
    let views = VIEWS.join(", ");
    let _ = writeln!(
        figure,
        "<figcaption>{image}: {percent:.3} % of the pixels agree; {views}</figcaption></figure>"
    );
    figure
}

/// Signal-to-quantisation-noise ratio after each stage as an SVG bar chart.
fn noise_chart(report: &Report<'_>) -> String {
    let stages: Vec<_> =
        report.stages().into_iter().filter_map(|(name, noise)| Some((name, noise.db()?))).collect();
    let (bar_width, max_height) = (34, 200.0);
    let max_db = stages.iter().fold(10f64, |max, (_, db)| max.max(*db));
    let mut svg = format!(
        "<svg width=\"{}\" height=\"290\" role=\"img\" aria-label=\"signal-to-quantisation-noise ratio after each stage in dB\">",
        stages.len() * bar_width + 60
    );
    for (i, (name, db)) in stages.iter().enumerate() {
        let (x, height) = (i * bar_width + 30, (max_height * db / max_db).max(0.0));
        let (y, middle) = (20.0 + max_height - height, x + bar_width / 2 - 3);
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y:.1}\" width=\"26\" height=\"{height:.1}\" fill=\"#4a7\"/>\
             <text x=\"{middle}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"middle\">{db:.0}</text>\
             <text transform=\"translate({middle},232) rotate(50)\" font-size=\"12\">{name}</text>",
            y - 4.0
        );
    }
    svg + "</svg><p>Signal-to-quantisation-noise ratio after each stage, in dB.</p>\n"
}
