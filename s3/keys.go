package s3

import (
	"fmt"
	"regexp"
	"strings"

	"flydeploy/engine"
)

var (
	// appName matches the names of OTP applications: unquoted atoms.
	appName = regexp.MustCompile(`^[a-z][A-Za-z0-9_@]*$`)
	// bucketName follows the S3 user guide, "Bucket naming rules".
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	// keySegment matches one segment of a key. Every version that mix accepts is one.
	keySegment = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._+~@-]*$`)
)

func checkNames(c Config) error {
	if !bucketName.MatchString(c.Bucket) {
		return engine.NewProblem("bucket_name", fmt.Sprintf("%q is not a valid bucket name", c.Bucket), nil,
			"Give --bucket, or set bucket in flydeploy.toml or AWS_BUCKET in the environment.")
	}
	if !appName.MatchString(c.App) {
		return engine.NewProblem("otp_app", fmt.Sprintf("%q is not a valid name for an OTP application", c.App), nil,
			"Set otp_app in flydeploy.toml to the name in mix.exs.")
	}
	return nil
}

func (b *Bucket) currentKey() string { return "releases/" + b.app + "-current.json" }

func (b *Bucket) lockKey() string { return "releases/" + b.app + "-deploy.lock" }

func (b *Bucket) resultsPrefix() string { return "releases/" + b.app + "-results/" }

func (b *Bucket) resultKey(upgradeID, name string) string {
	return b.resultsPrefix() + upgradeID + "/" + name
}

// checkKey refuses keys that flydeploy would not use. Versions become parts of keys, and machines report them.
func checkKey(key string) error {
	rest, ok := strings.CutPrefix(key, "releases/")
	for segment := range strings.SplitSeq(rest, "/") {
		ok = ok && keySegment.MatchString(segment)
	}
	if !ok {
		return fmt.Errorf("%q is not a valid key below releases/", key)
	}
	return nil
}
