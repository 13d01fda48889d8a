//! Data folders that cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::fixture::{connect, start};
use crate::scene::{KEPT, Scene, Unprivileged, check_refused, serve};

const UNUSABLE: &str = "cannot be used";
const ADVICE: &str = "its owner and its permissions";

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_the_reason() -> Result<()> {
    let place = TempDir::new()?;
    let file = place.path().join("file");
    fs::write(&file, "")?;
    let output = serve(&file)?;
    check_refused(
        "a file in its place",
        &output,
        1,
        &["it is no folder", "--data"],
    )?;
    let output = serve(&file.join("data"))?;
    check_refused(
        "its parent is a file",
        &output,
        1,
        &[UNUSABLE, "Not a directory"],
    )?;
    let output = serve("/proc/nothing/data".as_ref())?;
    check_refused(
        "no such parent",
        &output,
        1,
        &[UNUSABLE, "No such file", ADVICE],
    )?;
    let link = place.path().join("link");
    std::os::unix::fs::symlink("/nonexistent/data", &link)?;
    let output = serve(&link)?;
    check_refused("a link to nowhere", &output, 1, &[UNUSABLE])?;
    Ok(())
}

#[test]
fn a_folder_without_permission_is_refused_with_advice() -> Result<()> {
    let user = Unprivileged::new()?;
    let denied = [UNUSABLE, "Permission denied", ADVICE];

    let parent = user.place().join("unwritable");
    fs::create_dir(&parent)?;
    user.give(&parent, 0o555)?;
    let output = user.serve(&parent.join("data"))?;
    check_refused("an unwritable parent", &output, 1, &denied)?;
    ensure!(!parent.join("data").exists());

    let scene = Scene::new()?;
    for (name, mode_folder, mode_file) in [
        ("a read-only folder that is empty", 0o555, None),
        ("a read-only folder", 0o555, Some(0o444)),
        ("a read-only database", 0o755, Some(0o444)),
        ("a database that may not be read", 0o755, Some(0o000)),
        ("a folder that may not be entered", 0o600, Some(0o600)),
    ] {
        let data = user.place().join("data");
        fs::create_dir(&data)?;
        if let Some(mode) = mode_file {
            let copy = data.join("stompbox.db");
            fs::copy(scene.database(), &copy)?;
            user.give(&copy, mode)?;
        }
        user.give(&data, mode_folder)?;
        let output = user.serve(&data)?;
        check_refused(name, &output, 1, &denied)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755))?;
        fs::remove_dir_all(&data)?;
    }
    Ok(())
}

#[test]
fn a_second_broker_on_the_folder_is_refused_and_the_first_goes_on() -> Result<()> {
    let first = start();
    let mut wire = connect(&first);
    for body in KEPT {
        wire.send_receipted("/queue/kept", &[], body);
    }
    let output = serve(&first.data())?;
    let data = first.data().display().to_string();
    check_refused("a second broker", &output, 3, &[&data, "stop it", "--data"])?;
    wire.subscribe("s", "/queue/kept", "client-individual");
    for body in KEPT {
        let message = wire.expect_message();
        ensure!(message.text() == body, "{message}");
        wire.ack(&message, &[]);
    }
    Ok(())
}
