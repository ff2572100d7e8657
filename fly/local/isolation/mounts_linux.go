package isolation

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mountMachine makes the calling thread's mounts the machine's: an overlay of the image and a fresh disk, which is held
// in memory, /usr and /etc of the host, /dev. It must run in a mount namespace of its own; /proc is init's to mount,
// since that needs a process inside of the PID namespace.
func mountMachine(order Order, diskMB int) error {
	disk := filepath.Join(order.Folder, "disk")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error {
			return mount("tmpfs", disk, "tmpfs", unix.MS_NODEV, fmt.Sprintf("mode=755,size=%dm", diskMB))
		},
		// From here on paths are relative to the disk: in an overlay's options some characters have a meaning.
		func() error { return os.Symlink(order.Image, filepath.Join(disk, "image")) },
		func() error { return unix.Chdir(disk) },
		func() error { return overlay("image", "root", "root") },
		makeFolders,
		takeHostFolders,
		func() error { return os.Symlink("/etc", "host-etc") },
		func() error { return overlay("host-etc", "etc", "root/etc") },
		func() error { return writeHostNames(order.Machine, order.Env["FLY_PRIVATE_IP"]) },
		makeDevices,
		enterRoot,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("mount the machine's disk: %w", err)
		}
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

// overlay lays a fresh folder over lower.
func overlay(lower, name, target string) error {
	upper, work := "upper-"+name, "work-"+name
	for _, folder := range []string{upper, work, target} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", target, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
}

func makeFolders() error {
	folders := []struct {
		path string
		mode os.FileMode
	}{
		{"usr", 0o755}, {"etc", 0o755}, {"proc", 0o555}, {"sys", 0o555}, {"dev", 0o755}, {"run", 0o755}, {"root", 0o700},
		{"home", 0o755}, {"var", 0o755}, {"var/tmp", 0o777 | os.ModeSticky}, {"tmp", 0o777 | os.ModeSticky},
	}
	for _, folder := range folders {
		path := filepath.Join("root", folder.path)
		if err := os.MkdirAll(path, folder.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, folder.mode); err != nil { // whatever the umask is
			return err
		}
	}
	return nil
}

// takeHostFolders binds /usr, and /bin, /lib, … where they are not links into /usr.
func takeHostFolders() error {
	if err := bindReadOnly("/usr", "root/usr"); err != nil {
		return err
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		host, target := "/"+name, "root/"+name
		info, err := os.Lstat(host)
		if err != nil {
			continue // not on this host
		}
		if info.Mode()&os.ModeSymlink != 0 {
			link, err := os.Readlink(host)
			if err != nil {
				return err
			}
			if err := os.Symlink(link, target); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := bindReadOnly(host, target); err != nil {
			return err
		}
	}
	return nil
}

func bindReadOnly(host, target string) error {
	if err := mount(host, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// writeHostNames lets the machine resolve its own name, which Erlang's distribution needs. On a line of its own it is
// its own canonical name, which becomes the node's host. Scripts of Phoenix 1.6 cut its private address out of the line of fly-local-6pn.
func writeHostNames(machine, private string) error {
	hosts := "127.0.0.1 localhost\n127.0.0.1 " + machine + "\n::1 localhost ip6-localhost ip6-loopback\n"
	if private != "" {
		hosts += private + "\tfly-local-6pn\n"
	}
	for path, content := range map[string]string{"root/etc/hosts": hosts, "root/etc/hostname": machine + "\n"} {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func makeDevices() error {
	if err := mount("tmpfs", "root/dev", "tmpfs", unix.MS_NOSUID, "mode=755,size=64m"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		path := "root/dev/" + name
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			return err
		}
		if err := mount("/dev/"+name, path, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		if err := os.Symlink("/proc/self/fd"+target, "root/dev/"+name); err != nil {
			return err
		}
	}
	if err := os.Mkdir("root/dev/shm", 0o777); err != nil {
		return err
	}
	return os.Chmod("root/dev/shm", 0o777|os.ModeSticky)
}

// enterRoot makes the prepared folder the root and lets go of the host's.
func enterRoot() error {
	if err := unix.Chdir("root"); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	// The host's root now lies on top of the new one, at the same place; see pivot_root(2).
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the host's root: %w", err)
	}
	return unix.Chdir("/")
}
