//! Archives that unpack to more than there is room for, or lead elsewhere.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use tempfile::tempdir;

use crate::bounded::run;
use crate::bytes;
use crate::generated::{jpeg, put};

fn locate(folder: &Path, archive: &str) -> crate::bounded::Outcome {
    run(folder, &format!("locate --data {archive} --csv faces.csv --threads 2"))
}

#[test]
fn a_name_of_three_gigabytes_is_not_read() {
    let folder = tempdir().unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(3 << 30);
    header.set_cksum();
    let mut archive = File::create(folder.path().join("a.tar")).unwrap();
    archive.write_all(header.as_bytes()).unwrap();
    archive.set_len((3 << 30) + 4096).unwrap();
    locate(folder.path(), "a.tar").ends(2, &["a.tar", "a name in it has 3221225472 bytes"]);
}

#[test]
fn a_size_in_an_extension_hides_no_name() {
    let folder = tempdir().unwrap();
    let header = |kind: tar::EntryType, name: &str, size: u64| {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header
    };
    // Who goes by headers leaps over the rest; who heeds the extension reads a name there.
    let record = b"9 size=0\n";
    let mut bytes = header(tar::EntryType::XHeader, "x", record.len() as u64).as_bytes().to_vec();
    bytes.extend_from_slice(record);
    bytes.resize(1024, 0);
    bytes.extend_from_slice(header(tar::EntryType::Regular, "a.jpg", 4 << 30).as_bytes());
    bytes.extend_from_slice(header(tar::EntryType::GNULongName, "long", 3 << 30).as_bytes());
    let mut archive = File::create(folder.path().join("a.tar")).unwrap();
    archive.write_all(&bytes).unwrap();
    archive.set_len((4 << 30) + 8192).unwrap();
    locate(folder.path(), "a.tar").ends(2, &["a.tar", "a member's size stands in an extension"]);
}

#[test]
fn labels_without_end_are_not_all_kept() {
    let folder = tempdir().unwrap();
    put(folder.path(), "genki/files/file0001.jpg", jpeg(1, true));
    let lines = [b"\n1".repeat(3_000_000), b"1".to_vec()].concat();
    put(folder.path(), "genki/labels.txt", lines);
    let outcome = run(folder.path(), "--data genki --epochs 1 --out m.safetensors --threads 2");
    outcome.ends(2, &["labels.txt", "more than 2000000 lines"]);
}

#[test]
fn a_name_of_many_folders_takes_no_memory() {
    let folder = tempdir().unwrap();
    let name = format!("{}x.jpg", "a/".repeat(400_000));
    let mut archive = tar::Builder::new(File::create(folder.path().join("deep.tar")).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    archive.append_data(&mut header, &name, &b"x"[..]).unwrap();
    archive.finish().unwrap();
    locate(folder.path(), "deep.tar").ends(2, &["deep.tar", "a name in it has 800006 bytes"]);
}

#[test]
fn what_unpacks_to_far_more_than_its_size_is_refused() {
    let folder = tempdir().unwrap();
    put(folder.path(), "a.tar.gz", bytes::gzip_of_zeros(1 << 26).repeat(40));
    locate(folder.path(), "a.tar.gz").ends(2, &["a.tar.gz", "unpacks to more than 1073741824 bytes"]);

    // Of a zip archive only members are unpacked.
    let zeros = vec![0; 300 << 20];
    let good = jpeg(1, true);
    let members = [("a.jpg", &zeros[..], None), ("b.jpg", &zeros, Some(1000)), ("good.jpg", &good, None)];
    put(folder.path(), "a.zip", bytes::zip(&members));
    let outcome = locate(folder.path(), "a.zip");
    outcome.ends(0, &["skipped a.jpg: ", "skipped b.jpg: ", "at most"]);
    assert!(fs::read_to_string(folder.path().join("faces.csv")).unwrap().contains("good.jpg"));
}

#[test]
fn names_never_lead_out_of_an_archive() {
    let folder = tempdir().unwrap();
    put(folder.path(), "secret.jpg", "nobody's business");
    let good = jpeg(1, true);
    let members = [("../../secret.jpg", &good[..], None), ("/etc/passwd.jpg", &good, None)];
    put(folder.path(), "a.zip", bytes::zip(&members));
    locate(folder.path(), "a.zip").ends(0, &[]);
    let table = fs::read_to_string(folder.path().join("faces.csv")).unwrap();
    assert!(
        table.contains("\nsecret.jpg") && table.contains("etc/passwd.jpg") && !table.contains(".."),
        "{table}"
    );
}

#[test]
fn links_in_an_archive_are_followed_within_it_or_named() {
    let folder = tempdir().unwrap();
    let mut archive = tar::Builder::new(File::create(folder.path().join("a.tar")).unwrap());
    let mut header = tar::Header::new_gnu();
    let good = jpeg(1, true);
    header.set_size(good.len() as u64);
    archive.append_data(&mut header, "pool/good.jpg", &good[..]).unwrap();
    header.set_size(0);
    let (hard, soft) = (tar::EntryType::Link, tar::EntryType::Symlink);
    for (kind, name, target) in [
        (hard, "smile/hard.jpg", "pool/good.jpg"),
        (soft, "smile/soft.jpg", "../pool/good.jpg"),
        (soft, "smile/second.jpg", "soft.jpg"),
        (hard, "smile/none.jpg", "pool/none.jpg"),
        (soft, "smile/out.jpg", "/etc/hostname"),
        (soft, "smile/ring.jpg", "ring.jpg"),
    ] {
        header.set_entry_type(kind);
        archive.append_link(&mut header, name, target).unwrap();
    }
    archive.finish().unwrap();
    let outcome = locate(folder.path(), "a.tar");
    outcome
        .ends(0, &["skipped smile/none.jpg", "skipped smile/out.jpg", "skipped smile/ring.jpg", "a link to"]);
    let table = fs::read_to_string(folder.path().join("faces.csv")).unwrap();
    for name in ["pool/good.jpg", "smile/hard.jpg", "smile/soft.jpg", "smile/second.jpg"] {
        assert!(table.contains(name), "{table}");
    }
}
