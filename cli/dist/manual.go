package main

import (
	"bytes"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"flydeploy/cli"
)

// file is one of an archive's.
type file struct {
	name string // below the archive's folder
	mode int64
	body []byte
}

// manualOf gives the completions of shells, and a manual page for each command.
func manualOf(b built) ([]file, error) {
	root := cli.Command()
	root.Version = b.version
	completions := map[string]func(*bytes.Buffer) error{
		"flydeploy.bash": func(w *bytes.Buffer) error { return root.GenBashCompletionV2(w, true) },
		"_flydeploy":     func(w *bytes.Buffer) error { return root.GenZshCompletion(w) },
		"flydeploy.fish": func(w *bytes.Buffer) error { return root.GenFishCompletion(w, true) },
	}
	var files []file
	for _, name := range slices.Sorted(maps.Keys(completions)) {
		var text bytes.Buffer
		if err := completions[name](&text); err != nil {
			return nil, err
		}
		files = append(files, file{"completions/" + name, 0o644, text.Bytes()})
	}
	pages, err := pages(root, b)
	return append(files, pages...), err
}

// pages are the manual pages of a command and of those below it.
func pages(cmd *cobra.Command, b built) ([]file, error) {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return nil, nil
	}
	cmd.DisableAutoGenTag = true
	at := b.at
	header := &doc.GenManHeader{Section: "1", Date: &at, Source: "flydeploy " + b.version, Manual: "flydeploy"}
	var text bytes.Buffer
	if err := doc.GenMan(cmd, header, &text); err != nil {
		return nil, err
	}
	files := []file{{"man/man1/" + pageName(cmd) + ".1", 0o644, text.Bytes()}}
	for _, below := range cmd.Commands() {
		more, err := pages(below, b)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// pageName is as git has it: "flydeploy-lock-show".
func pageName(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return cmd.Name()
	}
	return pageName(cmd.Parent()) + "-" + cmd.Name()
}
