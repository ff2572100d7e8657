package registry

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

	"flydeploy/fly/local/run"
)

// BuildRelease runs `mix release` in a Mix project that has no dependencies, offline, for production, and streams the
// lines that it prints. env is added to the environment, NAME=VALUE. Nothing is written to srcDir; the release is in the
// run's folder and lasts as long as that. When ctx ends, mix ends with its children.
func BuildRelease(ctx context.Context, folder run.Folder, srcDir string, env []string, log func(line string)) (releaseDir string, err error) {
	if _, err := os.Stat(filepath.Join(srcDir, "mix.exs")); err != nil {
		return "", fmt.Errorf("build release: there is no Mix project in %s: %w", srcDir, err)
	}
	mix, err := exec.LookPath("mix")
	if err != nil {
		return "", fmt.Errorf("build release: %w; install Elixir", err)
	}
	releaseDir, err = os.MkdirTemp(string(folder), "release-")
	if err != nil {
		return "", fmt.Errorf("build release: %w", err)
	}
	if err := os.Chmod(releaseDir, 0o755); err != nil { // it becomes the image's /app
		return "", fmt.Errorf("build release: %w", err)
	}
	build := releaseDir + ".build"
	mark := "MIX_BUILD_PATH=" + build
	cmd := exec.Command(mix, "release", "--overwrite", "--path", releaseDir)
	cmd.Dir = srcDir
	cmd.Env = append(os.Environ(), "MIX_ENV=prod", mark, "HEX_OFFLINE=1", "ELIXIR_ERL_OPTIONS=+fnu", folder.Mark())
	cmd.Env = append(cmd.Env, env...)
	err = errors.Join(stream(ctx, cmd, mark, log), run.RemoveTree(build))
	if err != nil {
		return "", fmt.Errorf("build release in %s: %w", srcDir, err)
	}
	return releaseDir, nil
}

// stream runs a command in a process group of its own and logs its output by line. When ctx ends it kills the group, and
// the processes that have the mark in their environment: what Erlang starts is in a group of its own.
func stream(ctx context.Context, cmd *exec.Cmd, mark string, log func(line string)) error {
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
		stop := context.AfterFunc(ctx, func() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails if it has ended
			run.SignalMarked(mark, syscall.SIGKILL)
		})
		err = cmd.Wait()
		if !stop() {
			err = context.Cause(ctx)
		}
	}
	_ = input.Close() // never fails
	lines.Wait()
	return err
}
