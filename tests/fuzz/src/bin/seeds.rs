//! Writes what each target begins with into `corpus/`.

use std::path::Path;

use smile_fuzz::{CHECKPOINT, Folder, WEIGHTS, checkpoint_file, face_file, smile_file, text_of};

// The plugin is built with libFuzzer's counters, which have to be linked here, too.
libfuzzer_sys::fuzz_target!(|_bytes: &[u8]| {});

fn main() {
    let [smile, face, checkpoint] = [smile_file(), face_file(), checkpoint_file()];
    put("weights", &[text_of(&smile, WEIGHTS).as_bytes(), text_of(&face, WEIGHTS).as_bytes(), &smile, &face]);
    put("checkpoint", &[text_of(&checkpoint, CHECKPOINT).as_bytes(), &checkpoint]);
    let columns =
        "file,x,y,w,h,reye_x,reye_y,leye_x,leye_y,nose_x,nose_y,rmouth_x,rmouth_y,lmouth_x,lmouth_y";
    let row = "files/a.bmp,0,0,1,1,0.2,0.3,0.7,0.3,0.5,0.5,0.3,0.8,0.7,0.8";
    put(
        "boxes",
        &[
            format!("{columns}\n{row}\n").as_bytes(),
            format!("nfaces,{columns}\n1,{row}\n2,\"b.bmp\",,,,,,,,,,,,,\n").as_bytes(),
        ],
    );
    put(
        "labels",
        &[b"sfile,probability\nfiles/a.bmp,0.25\nb.bmp,1\n", b"g1 0.1 0.2 0.3\n0 -0.1 0 0\n", b"g1\n0\n"],
    );
    let folder = Folder::new();
    folder.write("labels.txt", b"1\n0\n");
    let tar = |format: &str| {
        let archive = folder.path().join(format!("{format}.tar"));
        let mut command = std::process::Command::new("tar");
        command
            .arg(format!("--format={format}"))
            .arg("-b1")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(folder.path());
        assert!(command.args(["labels.txt", "files"]).status().expect("tar").success());
        std::fs::read(archive).unwrap()
    };
    put("archive", &[&tar("ustar"), &tar("gnu"), &tar("pax")]);
    put("regions", &[&[0; 17], &[7; 170]]);
}

fn put(target: &str, seeds: &[&[u8]]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    for (index, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{index}")), seed).unwrap();
    }
}
