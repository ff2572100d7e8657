package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// Build is what `fly deploy --build-only --push` is elsewhere: BuildRelease and Push. It logs the lines that flyctl
// prints, "image: REF" and "image size: SIZE" among them, and returns the reference.
func (f *Fly) Build(ctx context.Context, srcDir string, env []string, log func(line string)) (ref string, err error) {
	release, err := f.BuildRelease(ctx, srcDir, env, log)
	if err != nil {
		return "", err
	}
	log("==> Building image")
	image, err := f.Push(ctx, release, "")
	if err != nil {
		return "", err
	}
	log("image: " + image.Ref)
	log("image size: " + megabytes(image.Size))
	return image.Ref, nil
}

// BuildRelease runs `mix release` in a Mix project that has no dependencies, offline, for production, and streams the
// lines that it prints. env is added to the environment, NAME=VALUE. Nothing is written to srcDir; the release is in the
// run's folder and lasts until Close. When ctx ends, mix ends with its children.
func (f *Fly) BuildRelease(ctx context.Context, srcDir string, env []string, log func(line string)) (releaseDir string, err error) {
	if _, err := os.Stat(filepath.Join(srcDir, "mix.exs")); err != nil {
		return "", fmt.Errorf("build release: %s is no Mix project: %w", srcDir, err)
	}
	mix, err := exec.LookPath("mix")
	if err != nil {
		return "", fmt.Errorf("build release: %w; install Elixir", err)
	}
	releaseDir, err = os.MkdirTemp(f.folder, "release-")
	if err != nil {
		return "", fmt.Errorf("build release: %w", err)
	}
	if err := os.Chmod(releaseDir, 0o755); err != nil { // it becomes the image's /app
		return "", fmt.Errorf("build release: %w", err)
	}
	build := releaseDir + ".build"
	cmd := exec.Command(mix, "release", "--overwrite", "--path", releaseDir)
	cmd.Dir = srcDir
	cmd.Env = append(os.Environ(), "MIX_ENV=prod", "MIX_BUILD_PATH="+build, "HEX_OFFLINE=1", "ELIXIR_ERL_OPTIONS=+fnu", runMark+"="+filepath.Base(f.folder))
	cmd.Env = append(cmd.Env, env...)
	err = errors.Join(stream(ctx, cmd, log), removeTree(build))
	if err != nil {
		return "", fmt.Errorf("build release in %s: %w", srcDir, err)
	}
	return releaseDir, nil
}

// stream runs a command in a process group of its own and logs its output by line. When ctx ends the group is killed.
func stream(ctx context.Context, cmd *exec.Cmd, log func(line string)) error {
	output, input := io.Pipe()
	cmd.Stdout, cmd.Stderr = input, input
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var lines sync.WaitGroup
	lines.Go(func() {
		scanner := bufio.NewScanner(output)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			log(scanner.Text())
		}
		_, _ = io.Copy(io.Discard, output) // a line that is too long ends the log, not the build
	})
	err := cmd.Start()
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		err = cmd.Wait()
		if !stop() {
			err = context.Cause(ctx)
		}
	}
	_ = input.Close() // never fails
	lines.Wait()
	return err
}

func megabytes(size int64) string { return fmt.Sprintf("%d MB", (size+999_999)/1_000_000) }
