package s3

import (
	"fmt"
	"regexp"
	"strings"

	"flydeploy/engine"
)

var (
	// appName is what a name of an OTP application may be: an unquoted atom.
	appName = regexp.MustCompile(`^[a-z][A-Za-z0-9_@]*$`)
	// bucketName follows the S3 user guide, "Bucket naming rules".
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	// part is one segment of a key. Every version that mix accepts is one.
	part = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._+~@-]*$`)
)

func checkNames(c Config) error {
	if !bucketName.MatchString(c.Bucket) {
		return engine.NewProblem("bucket_name", fmt.Sprintf("%q is no name of a bucket", c.Bucket), nil,
			"Give --bucket, or set bucket in flydeploy.toml, or AWS_BUCKET.")
	}
	if !appName.MatchString(c.App) {
		return engine.NewProblem("otp_app", fmt.Sprintf("%q is no name of an OTP application", c.App), nil,
			"Set otp_app in flydeploy.toml to the name that mix.exs gives.")
	}
	return nil
}

func (b *Bucket) currentKey() string { return "releases/" + b.app + "-current.json" }

func (b *Bucket) lockKey() string { return "releases/" + b.app + "-deploy.lock" }

func (b *Bucket) resultsPrefix() string { return "releases/" + b.app + "-results/" }

func (b *Bucket) resultKey(upgradeID, name string) string { return b.resultsPrefix() + upgradeID + "/" + name }

// checkKey refuses what is no key of ours. Versions, which become parts of keys, are read from machines.
func checkKey(key string) error {
	rest, ok := strings.CutPrefix(key, "releases/")
	for p := range strings.SplitSeq(rest, "/") {
		ok = ok && part.MatchString(p)
	}
	if !ok {
		return fmt.Errorf("%q is no key below releases/", key)
	}
	return nil
}
