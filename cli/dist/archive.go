package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sums is the file of checksums, in the form that `sha256sum --check` reads.
const sums = "SHA256SUMS"

// writeArchive packs the binary with what belongs to it.
func writeArchive(out string, b built, manual []file) (string, error) {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return "", err
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return "", err
	}
	files := append([]file{{"flydeploy", 0o755, program}, {"README.md", 0o644, readme}}, manual...)
	name := b.name() + ".tar.gz"
	var packed bytes.Buffer
	if err := packTar(&packed, b, files); err != nil {
		return "", err
	}
	return name, os.WriteFile(filepath.Join(out, name), packed.Bytes(), 0o644)
}

func packTar(w io.Writer, b built, files []file) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	for _, f := range files {
		header := &tar.Header{Name: b.name() + "/" + f.name, Mode: f.mode, Size: int64(len(f.body)), ModTime: b.at, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.body); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

// writeSums writes the checksums of the files in a folder, and gives that file's name.
func writeSums(out string, files []string) (string, error) {
	var text strings.Builder
	for _, name := range slices.Sorted(slices.Values(files)) {
		body, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(body), name)
	}
	return sums, os.WriteFile(filepath.Join(out, sums), []byte(text.String()), 0o644)
}
