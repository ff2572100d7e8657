package text

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const redacted = "[redacted]"

var (
	// signature is what makes a presigned URL a secret, wherever and however a text quotes it.
	signature = regexp.MustCompile(`(?i)(X-Amz-(?:Signature|Credential|Security-Token)(?:=|%3D))[^&\s"'<]+`)
	// token is a Fly token, a secret key of Tigris or a key that signs upgrades, by the prefix that each has.
	token = regexp.MustCompile(`\b(?:(?:fm1[ar]|fm2|fo1|tsec)_|flydeploy-signing-key:)[0-9A-Za-z+/=_-]+`)
)

// Redact takes secrets out of a text that came from outside, since it may quote the request: those given, as they are and
// as a URL writes them, the signatures of presigned URLs, and what has the form of a Fly token, a key of Tigris or one that signs.
func Redact(s string, secrets ...string) string {
	// The longest first: one may be the beginning of another.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, redacted)
			s = strings.ReplaceAll(s, url.QueryEscape(secret), redacted)
		}
	}
	s = signature.ReplaceAllString(s, "${1}"+redacted)
	return token.ReplaceAllString(s, redacted)
}
