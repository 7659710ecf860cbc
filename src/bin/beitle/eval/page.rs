//! One self-contained HTML page: scores, the error of each stage plotted, and the worst pictures side by side.

use super::report::{Report, Shown};
use crate::picture::Picture;
use crate::png_map;
use crate::session::ClassMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use beitle::Model;
use std::fmt::Write;
use std::path::Path;

/// Pictures on the page for each model.
const PICTURES: usize = 12;
/// The longer side of a view in pixels.
const SIDE: usize = 320;

impl Report<'_> {
    /// Keeps views of a picture if it is among the worst so far.
    #[allow(clippy::too_many_arguments)]
    pub fn worst(
        &mut self,
        picture: &Picture,
        reference: &ClassMap,
        map: &ClassMap,
        model: &Model<'_>,
        agreement: f64,
        image: &Path,
        wanted: bool,
    ) {
        let at = self.shown.partition_point(|s| s.agreement <= agreement);
        if !wanted || at >= PICTURES {
            return;
        }
        let colour = |map: &ClassMap, i| model.colour(map.view().get(i).unwrap_or(0).into());
        let rgb = |i: usize| [picture.rgb[3 * i], picture.rgb[3 * i + 1], picture.rgb[3 * i + 2]];
        let differs = |i: usize| reference.view().get(i) != map.view().get(i);
        let faint = |i: usize| rgb(i).map(|v| 170 + v / 6);
        let view = |pixel: &dyn Fn(usize) -> [u8; 3]| small(picture.width, picture.height, pixel);
        let views = [
            view(&rgb),
            view(&|i| colour(reference, i)),
            view(&|i| colour(map, i)),
            view(&|i| if differs(i) { [200, 0, 40] } else { faint(i) }),
        ];
        self.shown.insert(at, Shown { image: image.to_path_buf(), agreement, views });
        self.shown.truncate(PICTURES);
    }
}

/// A view as a PNG file, the nearest pixels where it must shrink.
fn small(width: usize, height: usize, pixel: &dyn Fn(usize) -> [u8; 3]) -> Vec<u8> {
    let step = width.max(height).div_ceil(SIDE).max(1);
    let (w, h) = (width.div_ceil(step), height.div_ceil(step));
    let at = |x: usize, y: usize| (y * step).min(height - 1) * width + (x * step).min(width - 1);
    let rgb: Vec<u8> = (0..h).flat_map(|y| (0..w).flat_map(move |x| pixel(at(x, y)))).collect();
    png_map::encode_rgb(&rgb, (w, h)).unwrap_or_default()
}

fn escaped(text: impl std::fmt::Display) -> String {
    text.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const STYLE: &str = "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:1340px;color:#222}\
table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:right}td:first-child,th:first-child{text-align:left}\
figure{margin:1em 0}figure img{width:24%;min-width:200px;margin-right:.6%}figcaption{color:#555}h2{margin-top:2em}";

/// The page.
pub fn html(reports: &[Report<'_>], reference: Option<&Path>) -> String {
    let mut page = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>beitle eval</title><style>{STYLE}</style><h1>beitle eval</h1>\n"
    );
    if let Some(path) = reference {
        let _ = writeln!(page, "<p>Compared with {}.</p>", escaped(path.display()));
    }
    page += "<table><tr><th>model<th>pictures<th>mIoU<th>aAcc<th>mAcc<th>pixels equal<th>mIoU of maps<th>logits, dB\n";
    for r in reports {
        let number = |v: Option<f64>, digits| v.map_or("–".into(), |v| format!("{v:.digits$}"));
        let (truth, like) = (r.truth.as_ref(), r.overall());
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
            escaped(r.path.display()),
            r.pictures,
            number(truth.map(|s| s.mean_iou()), 5),
            number(truth.map(|s| s.pixel_accuracy()), 5),
            number(truth.map(|s| s.mean_accuracy()), 5),
            number(like.as_ref().map(|l| l.0.pixel_accuracy()), 5),
            number(like.as_ref().map(|l| l.0.mean_iou()), 5),
            number(like.as_ref().and_then(|l| l.1.db()), 1),
        );
    }
    page += "</table>\n";
    for r in reports.iter().filter(|r| !r.likeness.is_empty()) {
        let _ = writeln!(page, "<h2>{}</h2>", escaped(r.path.display()));
        page += &plot(r);
        if !r.flips.worst().is_empty() {
            page += "<p>The worst pixels, where the reference was surest of another class:</p><ul>";
            r.flips.worst().iter().for_each(|flip| page += &format!("<li>{}", escaped(r.sentence(flip))));
            page += "</ul>\n";
        }
        for shown in &r.shown {
            page += "<figure>";
            for (view, name) in shown.views.iter().zip(["picture", "reference", "model", "difference"]) {
                let _ = write!(
                    page,
                    "<img alt=\"{name}\" title=\"{name}\" src=\"data:image/png;base64,{}\">",
                    STANDARD.encode(view)
                );
            }
            let (image, share) = (escaped(shown.image.display()), 100.0 * shown.agreement);
            let _ = writeln!(
                page,
                "<figcaption>{image}: {share:.3} % equal; picture, reference, model, difference</figcaption></figure>"
            );
        }
    }
    page + "</html>\n"
}

/// Signal to noise of every stage as an SVG of bars.
fn plot(report: &Report<'_>) -> String {
    let stages: Vec<_> = report.stages().into_iter().filter_map(|(s, n)| Some((s, n.db()?))).collect();
    let (bar, high) = (34, 200.0);
    let most = stages.iter().fold(10f64, |m, s| m.max(s.1));
    let mut svg = format!(
        "<svg width=\"{}\" height=\"290\" role=\"img\" aria-label=\"signal to noise of each stage in dB\">",
        stages.len() * bar + 60
    );
    for (i, (stage, db)) in stages.iter().enumerate() {
        let (x, tall) = (i * bar + 30, (high * db / most).max(0.0));
        let (y, middle) = (20.0 + high - tall, x + bar / 2 - 3);
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y:.1}\" width=\"26\" height=\"{tall:.1}\" fill=\"#4a7\"/>\
             <text x=\"{middle}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"middle\">{db:.0}</text>\
             <text transform=\"translate({middle},232) rotate(50)\" font-size=\"12\">{stage}</text>",
            y - 4.0
        );
    }
    svg + "</svg><p>Signal to quantisation noise after each stage, in dB.</p>\n"
}
