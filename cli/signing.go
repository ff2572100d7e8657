package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"flydeploy/engine"
	"flydeploy/engine/sign"
	"flydeploy/fly/command"
)

// signingKeyVariable holds a signing key itself, for CI; --signing-key names a file.
const signingKeyVariable = command.SigningKeyVariable

// loadKeys gives what signs and whom it trusts: the key of the command line or else of the environment, and public_keys of
// flydeploy.toml. It is nil if there is none.
func loadKeys(file string, trusted []string, getenv func(string) string) (*sign.Ring, error) {
	own, err := loadKey(file, getenv)
	if err != nil {
		return nil, err
	}
	var public []sign.PublicKey
	for _, text := range trusted {
		key, err := sign.ParsePublicKey(text)
		if err != nil {
			return nil, err
		}
		public = append(public, key)
	}
	return sign.NewRing(own, public), nil
}

func loadKey(file string, getenv func(string) string) (*sign.Key, error) {
	text, from := getenv(signingKeyVariable), signingKeyVariable
	if file != "" {
		body, err := readSecret(file)
		if err != nil {
			return nil, err
		}
		text, from = string(body), file
	}
	if text == "" && file == "" {
		return nil, nil
	}
	key, err := sign.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return &key, nil
}

// readSecret reads a file that nobody else may read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, engine.NewProblem("open_signing_key", fmt.Sprintf("others may read %s (mode %04o)", path, info.Mode().Perm()), nil,
			"chmod 600 "+path+". If others had access, make another key: `flydeploy keygen`.")
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, engine.NewProblem("no_signing_key", "read the signing key", err, "Name the file that `flydeploy keygen` has written: --signing-key.")
	}
	return body, nil
}

// defaultKeyFile is where keygen writes.
const defaultKeyFile = "flydeploy.key"

func keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen [FILE]",
		Short: "Make a key that signs upgrades, so that machines load no others",
		Long: `Makes a key (Ed25519) and writes it to FILE (default: ` + defaultKeyFile + `), which only you may read; it never replaces a file.
With the public key, which it prints, in its configuration, the package fly_deploy loads nothing that is not signed with it.

Give the key to whoever deploys: --signing-key FILE, or its text in ` + signingKeyVariable + ` (CI). Keep it out of the repository,
out of the image and off the machines. To change keys, let the machines know both for a while: public_key may be a list.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := cmp.Or(append(args, defaultKeyFile)[0], defaultKeyFile)
			key, err := writeNewKey(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `%s is the signing key %s: keep it secret. Where it lies in a project, add it to .gitignore and .dockerignore.

In config/config.exs, then `+"`fly deploy`"+`:

    config :fly_deploy, public_key: %q

In flydeploy.toml, for consoles that look without the key:

    public_keys = [%[3]q]
`, file, key.Public().ID(), key.Public().String())
			return err
		},
	}
}

func writeNewKey(path string) (sign.Key, error) {
	key, err := sign.Generate()
	if err != nil {
		return key, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return key, engine.NewProblem("key_exists", path+" exists already", nil, "Give another name: `flydeploy keygen FILE`.")
	}
	if err != nil {
		return key, fmt.Errorf("write the signing key: %w", err)
	}
	_, err = f.WriteString(key.Secret() + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return key, fmt.Errorf("write the signing key: %w", errors.Join(err, os.Remove(path)))
	}
	return key, nil
}
