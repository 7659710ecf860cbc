//! The report as one self-contained HTML page: a table of scores and, for each model, the scores of its classes with their colours,
//! a bar chart of the noise after each stage, the changed pixels and the pictures with the lowest agreement.

use super::report::Report;
use super::scores::Scores;
use super::worst_pictures::WorstPicture;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use std::path::Path;

const STYLE: &str = "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:1340px;color:#222}\
table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:right}td:first-child,th:first-child{text-align:left}\
figure{margin:1em 0}figure.views img{width:19%;min-width:200px;margin-right:.6%}figcaption{color:#555}h2{margin-top:2em}\
figure.crop{display:inline-block;width:600px;margin-right:2em;vertical-align:top}figure.crop img{width:100%;image-rendering:pixelated}\
td i,p i{display:inline-block;width:1em;height:1em;margin:0 .4em -.15em 0;border:1px solid #888}p.legend span{margin-right:1.2em;white-space:nowrap}";

/// Renders the page.
pub fn render(reports: &[Report<'_>], reference: Option<&Path>) -> String {
    let mut page = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>beitle eval</title><style>{STYLE}</style><h1>beitle eval</h1>\n"
    );
    if let Some(path) = reference {
        let _ = writeln!(page, "<p>The reference is {}.</p>", escape(path.display()));
    }
    page += &score_table(reports);
    for report in reports {
        let _ = writeln!(page, "<h2>{}</h2>", escape(report.path.display()));
        page += &match &report.labels {
            Some(scores) => class_table(report, scores),
            None => legend(report),
        };
        if report.comparisons.iter().any(|c| c.logits.is_some()) {
            page += &noise_chart(report);
        }
        if !report.changed_pixels.worst().is_empty() {
            page += "<p>The changed pixels with the largest margins in the reference: picture, reference, model.</p>\n";
            for pixel in report.changed_pixels.worst() {
                let (data, caption) = (STANDARD.encode(&pixel.crop), escape(report.describe(pixel)));
                let image = format!("<img alt=\"\" src=\"data:image/png;base64,{data}\">");
                let _ =
                    writeln!(page, "<figure class=crop>{image}<figcaption>{caption}</figcaption></figure>");
            }
        }
        if !report.worst_pictures.pictures().is_empty() {
            page += "<p>The pictures with the lowest agreement:</p>\n";
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
        "<table><tr><th>model<th>input<th>s a picture<th>pictures<th>mIoU<th>aAcc<th>mAcc<th>pixel agreement<th>mIoU against the reference<th>logits, dB\n",
    );
    for report in reports {
        let number = |v: Option<f64>, digits| v.map_or("–".into(), |v| format!("{v:.digits$}"));
        let (width, height) = report.input();
        let (labels, reference) = (report.labels.as_ref(), report.overall());
        let _ = writeln!(
            table,
            "<tr><td>{}<td>{width}x{height}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
            escape(report.path.display()),
            number(report.seconds(), 3),
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

/// The colour of a class and its name.
fn swatch(report: &Report<'_>, class: usize) -> String {
    let ([r, g, b], name) = (report.colour(class), escape(report.class_name(class)));
    format!("<i style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>{name}")
}

/// The colours and names of all classes that occur.
fn legend(report: &Report<'_>) -> String {
    let Some((scores, _)) = report.overall() else { return String::new() };
    let classes = report.classes().filter(|&class| scores.iou(class).is_some());
    let all: String = classes.map(|class| format!("<span>{}</span>", swatch(report, class))).collect();
    format!("<p class=legend>{all}</p>\n")
}

/// A row of scores against the labels for each class that occurs.
fn class_table(report: &Report<'_>, scores: &Scores) -> String {
    let reference = report.reference_labels.as_ref();
    let mut table = String::from("<table><tr><th>class<th>number<th>IoU<th>accuracy<th>share of the labels");
    if reference.is_some() {
        table += "<th>IoU of the reference<th>difference";
    }
    table += "\n";
    for class in report.classes().filter(|&class| scores.iou(class).is_some()) {
        let number = |v: Option<f64>| v.map_or("–".into(), |v| format!("{v:.4}"));
        let share = 100.0 * scores.area(class) as f64 / scores.pixels().max(1) as f64;
        let (iou, accuracy) = (scores.iou(class), scores.accuracy(class));
        let _ = write!(
            table,
            "<tr><td>{}<td>{class}<td>{}<td>{}<td>{share:.2} %",
            swatch(report, class),
            number(iou),
            number(accuracy)
        );
        if let Some(other) = reference.map(|reference| reference.iou(class)) {
            let difference = iou.zip(other).map_or("–".into(), |(a, b)| format!("{:+.4}", a - b));
            let _ = write!(table, "<td>{}<td>{difference}", number(other));
        }
        table += "\n";
    }
    table + "</table>\n"
}

/// The views of a picture side by side.
fn figure(picture: &WorstPicture) -> String {
    let mut figure = String::from("<figure class=views>");
    for (name, view) in &picture.views {
        let data = STANDARD.encode(view);
        let _ = write!(figure, "<img alt=\"{name}\" title=\"{name}\" src=\"data:image/png;base64,{data}\">");
    }
    let (image, percent) = (escape(picture.image.display()), 100.0 * picture.agreement);
    let views = picture.views.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
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
