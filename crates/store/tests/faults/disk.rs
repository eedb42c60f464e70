//! File systems of a test's own: to be filled, and to lose power.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A file system that is mounted for as long as the value lives.
pub(crate) struct Disk {
    dir: TempDir,
    is_mounted: bool,
}

impl Disk {
    /// One in memory, of `kib` KiB.
    pub(crate) fn in_memory(kib: u32) -> Option<Self> {
        let disk = Self::unmounted();
        let size = format!("size={kib}k");
        let mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(disk.path()));
        disk.mounted(mounted)
    }

    /// An ext4 in a file.
    pub(crate) fn ext4() -> Option<Self> {
        let disk = Self::unmounted();
        let image = disk.image();
        fs::File::create(&image).unwrap().set_len(96 << 20).unwrap();
        let made = run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-E", "lazy_itable_init=0"])
            .arg(&image));
        let mounted = made.and_then(|()| disk.attach());
        disk.mounted(mounted)
    }

    fn unmounted() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mnt")).unwrap();
        Self { dir, is_mounted: false }
    }

    /// Left out where it cannot be mounted, and not in silence.
    fn mounted(mut self, mounted: Result<(), String>) -> Option<Self> {
        match mounted {
            Ok(()) => {
                self.is_mounted = true;
                Some(self)
            }
            Err(why) => {
                let name = std::thread::current().name().unwrap_or_default().to_owned();
                // Past what the harness keeps back of tests that pass.
                let _ = writeln!(
                    io::stderr(),
                    "\n!!! SKIPPED {name}: it needs root and a loop device: {why}"
                );
                None
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn attach(&self) -> Result<(), String> {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(self.image())
            .arg(self.path()))
    }

    /// Gives it other options, as `size=…` or `ro`.
    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        run(Command::new("mount").args(["-o", &options]).arg(self.path())).unwrap();
    }

    /// The switch of its power.
    pub(crate) fn power(&self) -> Switch {
        // An ioctl of one file system, and this workspace forbids `unsafe`; perl is part of every Debian.
        const CUT: &str = r#"open(my $disk, "<", $ARGV[0]) or die $!; my $flags = pack("L", 2); $| = 1; print "x"; <STDIN>;
            ioctl($disk, 0x8004587d, $flags) or die $!"#;
        let mut perl = Command::new("perl")
            .args(["-e", CUT])
            .arg(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        perl.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        Switch(perl)
    }

    /// Mounts it anew, as the machine does that starts again.
    pub(crate) fn start_again(&mut self) {
        unmount(&self.path()).unwrap();
        self.is_mounted = false;
        self.attach().unwrap();
        self.is_mounted = true;
    }
}

/// Cuts the power of a disk.
pub(crate) struct Switch(Child);

impl Switch {
    /// Whatever is not on the disk by now never gets there (`EXT4_IOC_SHUTDOWN` without a flush of the journal).
    pub(crate) fn cut(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted
            && unmount(&self.path()).is_err()
            // Held by a process that a failed test has left: it goes with it.
            && let Err(why) = run(Command::new("umount").arg("--lazy").arg(self.path()))
        {
            let _ = writeln!(io::stderr(), "still mounted: {}: {why}", self.path().display());
        }
    }
}

/// sled's threads hold their files a little longer than its handle lives.
fn unmount(path: &Path) -> Result<(), String> {
    let mut outcome = Ok(());
    for _ in 0..100 {
        outcome = run(Command::new("umount").arg(path));
        if outcome.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    outcome
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
