// Command dist makes what `make dist` puts into a folder: for each platform an archive with the binary, the README, completions and
// manual pages; beside it what the binary is made of (CycloneDX), and the checksums of all files.
//
// Equal sources give equal files: times are the commit's, names are in order.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

// platforms are those that are built unless others are named.
const platforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

func main() {
	out := flag.String("out", "bin/dist", "folder of the results; what is in it is replaced")
	targets := flag.String("platforms", platforms, "which are built, as GOOS/GOARCH")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := makeAll(ctx, *out, strings.Split(*targets, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// makeAll builds every platform, and says what it has made.
func makeAll(ctx context.Context, out string, targets []string) error {
	work, err := os.MkdirTemp("", "flydeploy-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var made []string
	for _, target := range targets {
		files, err := makeOne(ctx, work, out, target)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		made = append(made, files...)
	}
	sums, err := writeSums(out, made)
	if err != nil {
		return err
	}
	for _, file := range append(made, sums) {
		fmt.Println(filepath.Join(out, file))
	}
	return nil
}

// makeOne makes a platform's archive and its list of parts, and gives their names.
func makeOne(ctx context.Context, work, out, target string) ([]string, error) {
	b, err := build(ctx, work, target)
	if err != nil {
		return nil, err
	}
	manual, err := manualOf(b)
	if err != nil {
		return nil, err
	}
	archive, err := writeArchive(out, b, manual)
	if err != nil {
		return nil, err
	}
	parts, err := writeParts(out, b)
	return []string{archive, parts}, err
}
