package rehearse

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func envFile(t *testing.T, says string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), ".env.test")
	if err := os.WriteFile(name, []byte(says), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheEnvironmentOfAFile(t *testing.T) {
	got, err := ReadEnv(envFile(t, "# a comment\n\nA=1\nexport B=two words \r\nC=\"quoted # and = more\"\nD='$A'\nE=\n  F = spaced\nG=\"\n"))
	want := Env{"A": "1", "B": "two words", "C": "quoted # and = more", "D": "$A", "E": "", "F": "spaced", "G": `"`}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// What is wrong is told by its line; what stands there may be a secret.
func TestABrokenEnvironmentFile(t *testing.T) {
	for _, line := range []string{"s3cr3t-words", "=s3cr3t", "1A=s3cr3t", "A B=s3cr3t", "A=s3cr3t\x00", "-----BEGIN s3cr3t-----"} {
		_, err := ReadEnv(envFile(t, "A=1\n"+line+"\n"))
		problemOf(t, err, "broken_env_file", ".env.test:2")
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("it tells %q", err)
		}
	}
	_, err := ReadEnv(filepath.Join(t.TempDir(), "none"))
	problemOf(t, err, "no_env_file", "none: no such file", "--env-file")
}

// A rehearsal never reaches the app's real bucket, whatever the file says.
func TestTheRealBucketIsLeftOut(t *testing.T) {
	env := Env{"SECRET_KEY_BASE": "x", "AWS_ACCESS_KEY_ID": "a", "BUCKET_NAME": "b", "AWS_ENDPOINT_URL_S3": "c"}
	kept, left := env.WithoutStorage()
	if !maps.Equal(kept, Env{"SECRET_KEY_BASE": "x"}) || !slices.Equal(left, []string{"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "BUCKET_NAME"}) {
		t.Errorf("%v, without %v", kept, left)
	}
}

func TestSecretsAreTakenOutOfLogs(t *testing.T) {
	env := Env{"DATABASE_URL": "ecto://me:pass word@db/app", "PHX_SERVER": "true"}
	if says := env.hide("it is true: connect to ecto://me:pass word@db/app failed, fm2_AbCd0123"); says != "it is true: connect to [redacted] failed, [redacted]" {
		t.Error(says)
	}
}
