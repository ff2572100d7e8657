package local

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"strings"
)

// power is what a token may do.
type power int

const (
	powerNone power = iota
	powerExec       // list, get, exec
	powerDeploy
)

type tokens struct{ deploy, exec string }

func newTokens() tokens {
	return tokens{deploy: "fo1_" + randomName(43), exec: "fo1_" + randomName(43)}
}

// of reads the Authorization header, in the scheme of user tokens (Bearer) or of macaroons (FlyV1).
func (t tokens) of(r *http.Request) power {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "Bearer" && scheme != "FlyV1" {
		return powerNone
	}
	return t.power(token)
}

func (t tokens) power(token string) power {
	switch {
	case subtle.ConstantTimeCompare([]byte(token), []byte(t.deploy)) == 1:
		return powerDeploy
	case subtle.ConstantTimeCompare([]byte(token), []byte(t.exec)) == 1:
		return powerExec
	}
	return powerNone
}

// randomName is n random characters of [a-z2-7].
func randomName(n int) string {
	var name strings.Builder
	for name.Len() < n {
		name.WriteString(strings.ToLower(rand.Text()))
	}
	return name.String()[:n]
}
