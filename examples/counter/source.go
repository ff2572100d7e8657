// Package counter carries the sample application of the demo and the tests, an Elixir release named counter, and what
// talks to it: a client of its HTTP endpoint, steady traffic, and a comparison of its state before and after an
// upgrade. The application itself is described in README.md.
package counter

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"flydeploy/elixir"
)

//go:embed mix.exs .formatter.exs lib priv rel versions
var source embed.FS

// Source is the application's source, with mix.exs at its root; its own tests are left out.
func Source() fs.FS { return source }

// parts are the folders that WriteTo writes: the sample, and the package fly_deploy, on which its mix.exs depends.
var parts = []struct {
	folder string
	files  fs.FS
}{{".", source}, {"fly_deploy", elixir.Files}}

// WriteTo writes the source and the package that it depends on into dir, which must be empty or absent.
func WriteTo(dir string) error {
	for _, p := range parts {
		if err := os.CopyFS(filepath.Join(dir, p.folder), p.files); err != nil {
			return fmt.Errorf("write the sample application's source: %w", err)
		}
	}
	return nil
}

// Build makes the release of one version (1 to 4) from the source in dir, and gives the release's root folder. The
// versions build side by side in one dir. What mix prints goes to output.
func Build(ctx context.Context, dir string, version int, output io.Writer) (root string, err error) {
	cmd := exec.CommandContext(ctx, "mix", "release", "--overwrite")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MIX_ENV=prod", fmt.Sprintf("COUNTER_VERSION=%d", version))
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("mix release of counter %d in %s: %w", version, dir, err)
	}
	return filepath.Join(dir, "_build", fmt.Sprintf("v%d", version), "prod", "rel", "counter"), nil
}
