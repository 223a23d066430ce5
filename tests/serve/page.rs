//! The page as a browser shows it. Left out where there is no Chromium.

use serde_json::json;

use super::browser::Browser;
use super::serve::Serve;
use super::stub::{Mood, Stub};

/// The picture of a tile as one number.
const SUM: &str = "(name) => {
    const image = document.querySelector(`.tile[data-name=${name}] img`);
    if (!image?.naturalWidth) return 0;
    const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0, 160, 120);
    return context.getImageData(0, 0, 160, 120).data.reduce((sum, byte, at) => (sum + byte * (at % 991)) % 1e9, 1);
}";

#[test]
fn the_page_shows_what_happens() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(Mood::Flicker);
    let serve = Serve::start(folder.path(), &["pattern:ball"]);
    let door = json!({ "name": "door", "title": "The <b>door</b>", "source": stub.source() });
    assert_eq!(serve.json("POST", "/api/cameras", &door).status, 201);
    browser.call("Page.navigate", json!({ "url": format!("http://{}/", serve.address) }));
    browser.until("document.querySelectorAll('.tile').length === 2");
    browser.until("document.querySelector('.tile[data-name=door] b').textContent === 'The <b>door</b>'");
    // Pictures move.
    browser.until(&format!("(window.first ??= ({SUM})('ball')) > 0 || (window.first = null)"));
    browser.until(&format!("![0, window.first].includes(({SUM})('ball'))"));
    // Events appear, and so does what is counted.
    for event in ["face-appeared", "smile-started", "face-lost"] {
        browser.until(&format!("document.querySelector('#feed li.{event}') !== null"));
    }
    browser.until("document.querySelector('#count-live').textContent === '2/2'");
    browser.until("document.querySelector('.tile.smiles[data-name=door] .who em') !== null");
    // A camera that dies is shown as such, and comes back.
    let pill = "document.querySelector('.tile[data-name=door] .pill').textContent";
    stub.set(Mood::Gone);
    browser.until(&format!("['waiting', 'connecting'].includes({pill})"));
    browser.until("document.querySelector('.tile[data-name=door] .shot.is-away .away').textContent !== ''");
    stub.set(Mood::Well);
    browser.until(&format!("{pill} === 'live'"));
    browser.until("document.querySelector('.tile[data-name=door] .shot:not(.is-away)') !== null");
    one_camera(&mut browser);
    // On a telephone nothing sticks out.
    let telephone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
    browser.call("Emulation.setDeviceMetricsOverride", telephone);
    for hash in ["#/", "#/door"] {
        browser.eval(&format!("location.hash = '{hash}'"));
        browser.until("document.documentElement.scrollWidth <= 360");
    }
    // A camera that is removed is gone.
    assert_eq!(serve.ask("DELETE", "/api/cameras/door", &[], "").status, 204);
    browser.until("document.querySelectorAll('.tile').length === 1 && location.hash === '#/'");
    let foreign = "performance.getEntriesByType('resource').map((entry) => entry.name)
        .filter((name) => !name.startsWith(location.origin) && !name.startsWith('blob:' + location.origin)).join()";
    assert_eq!(browser.eval(foreign), "");
    assert!(browser.errors.is_empty(), "{:?}", browser.errors);
}

/// The page of one camera, by the keyboard.
fn one_camera(browser: &mut Browser) {
    browser.eval("document.querySelector('.tile').focus()");
    browser.press("ArrowRight");
    browser.until("document.activeElement.dataset.name === 'door'");
    browser.eval("document.activeElement.click()");
    browser.until("document.querySelector('#camera-title').textContent === 'The <b>door</b>'");
    browser.until("document.querySelector('#camera-picture').naturalWidth > 0");
    browser.until("document.querySelector('#timeline svg rect.faces') !== null");
    browser.until("document.querySelector('#camera-facts').textContent.includes('***@')");
    browser.until("[...document.querySelectorAll('#feed li')].every((item) => item.hidden === (item.dataset.camera !== 'door'))");
    browser.press("Escape");
    browser.until(
        "document.querySelector('#camera-view').hidden && !document.querySelector('#wall-view').hidden",
    );
}
