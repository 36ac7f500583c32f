//! The URLs of a sitemap (<https://www.sitemaps.org/protocol.html>), and of those that a sitemap index lists.

use std::collections::{HashSet, VecDeque};
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use url::Url;

use super::client::Client;
use super::place::{Site, Source};
use crate::failure::Failure;

/// What the protocol allows one file to be, unpacked.
const LARGEST: u64 = 50 << 20;
/// How many files an index may lead to.
const FILES: usize = 1000;

/// What stands in one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    pages: Vec<String>,
    sitemaps: Vec<String>,
}

/// All pages, in the order of the files; `left_out` counts what is of another host.
pub(super) async fn pages(
    source: &Source,
    site: &Site,
    client: &Client,
    left_out: &mut usize,
) -> Result<Vec<Url>, Failure> {
    let mut pages = Vec::new();
    let mut files = VecDeque::from([source.clone()]);
    let mut known = HashSet::from([source.to_string()]);
    let mut read = 0;
    while let Some(file) = files.pop_front() {
        read += 1;
        if read > FILES {
            return Err(Failure::said(format!("{source} leads to more than {FILES} sitemaps")));
        }
        let bytes = match &file {
            Source::File(path) => super::place::read_file(path, LARGEST)?,
            Source::Url(url) => client.body(site, url, LARGEST).await?,
        };
        let listed = parse(&unpacked(bytes, &file)?)
            .map_err(|wrong| Failure::said(format!("{file} is no sitemap: {wrong}")))?;
        for page in listed.pages {
            match Url::parse(&page).ok().filter(|page| site.has(page)) {
                Some(page) => pages.push(page),
                None => *left_out += 1,
            }
        }
        for sitemap in listed.sitemaps {
            match Url::parse(&sitemap).ok().filter(|url| site.has(url)) {
                // The protocol has no index of indexes, and a server could lead us round in circles.
                Some(url) if read == 1 && known.insert(url.to_string()) => files.push_back(Source::Url(url)),
                Some(_) => {}
                None => *left_out += 1,
            }
        }
    }
    Ok(pages)
}

/// Sitemaps are often compressed, whatever their names.
fn unpacked(bytes: Vec<u8>, file: &Source) -> Result<String, Failure> {
    let mut plain = Vec::new();
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        let read = MultiGzDecoder::new(&*bytes).take(LARGEST + 1).read_to_end(&mut plain);
        read.map_err(|error| Failure::said(format!("{file} can't be unpacked: {error}")))?;
        plain
    } else {
        bytes
    };
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::said(format!("{file} is larger than a sitemap may be, {} MiB", LARGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| Failure::said(format!("{file} is no sitemap: it is not UTF-8")))
}

fn parse(text: &str) -> Result<Listed, String> {
    // Without document types nothing expands into more than it is.
    let document =
        roxmltree::Document::parse(text.trim_start_matches('\u{feff}')).map_err(|error| error.to_string())?;
    let root = document.root_element();
    let locations = |of: &'static str| {
        let entries = root.children().filter(move |node| node.tag_name().name() == of);
        let locations = entries.filter_map(|entry| {
            let location = entry.children().find(|node| node.tag_name().name() == "loc")?;
            Some(location.text()?.trim().to_owned())
        });
        locations.collect()
    };
    match root.tag_name().name() {
        "urlset" => Ok(Listed { pages: locations("url"), sitemaps: Vec::new() }),
        "sitemapindex" => Ok(Listed { pages: Vec::new(), sitemaps: locations("sitemap") }),
        other => Err(format!("its root is <{other}>, neither <urlset> nor <sitemapindex>")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: &str = "xmlns='http://www.sitemaps.org/schemas/sitemap/0.9' xmlns:image='http://www.google.com/schemas/sitemap-image/1.1'";

    #[test]
    fn the_locations_of_pages_are_read_and_those_of_images_are_not() {
        let text = format!(
            "\u{feff}<?xml version='1.0' encoding='UTF-8'?><urlset {NS}>
            <url><image:image><image:loc>https://a/logo.png</image:loc></image:image><loc> https://a/?b=1&amp;c=2\n</loc></url>
            <url><loc><![CDATA[https://a/d]]></loc><priority>0.5</priority></url><url><priority>1</priority></url></urlset>"
        );
        let pages = parse(&text).unwrap().pages;
        assert_eq!(pages, ["https://a/?b=1&c=2", "https://a/d"]);
        let index =
            format!("<sitemapindex {NS}><sitemap><loc>https://a/1.xml</loc></sitemap></sitemapindex>");
        assert_eq!(parse(&index).unwrap().sitemaps, ["https://a/1.xml"]);
    }

    #[test]
    fn what_is_no_sitemap_is_an_error_and_bombs_do_not_go_off() {
        let bomb = "<!DOCTYPE b [<!ENTITY a 'aaaa'><!ENTITY c '&a;&a;&a;&a;'>]><urlset><url><loc>&c;</loc></url></urlset>";
        for text in ["", "hello", "<html><body>404</body></html>", "<urlset>", "<urlset><url></urlset>", bomb]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn more_than_a_sitemap_may_be_is_not_unpacked() {
        use std::io::Write as _;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..60 {
            packed.write_all(&zeros).unwrap();
        }
        let file = Source::File("big.xml.gz".into());
        let Err(Failure::Said(error)) = unpacked(packed.finish().unwrap(), &file) else {
            panic!("too large")
        };
        assert!(error.contains("big.xml.gz") && error.contains("50 MiB"), "{error}");
    }
}
