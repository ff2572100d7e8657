package api

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

// Tokens are those that an API accepts.
type Tokens struct {
	Deploy string // may do everything, like one of `fly tokens create deploy`
	Exec   string // may list and get machines and run commands in them, like one of `fly tokens create machine-exec`
}

// NewTokens makes random tokens.
func NewTokens() Tokens { return Tokens{Deploy: newToken(), Exec: newToken()} }

func newToken() string { return "fo1_" + strings.ToLower(rand.Text() + rand.Text())[:43] }

// of reads the Authorization header, in the scheme of user tokens (Bearer) or of macaroons (FlyV1).
func (t Tokens) of(r *http.Request) power {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "Bearer" && scheme != "FlyV1" {
		return powerNone
	}
	return t.power(token)
}

func (t Tokens) power(token string) power {
	switch {
	case subtle.ConstantTimeCompare([]byte(token), []byte(t.Deploy)) == 1:
		return powerDeploy
	case subtle.ConstantTimeCompare([]byte(token), []byte(t.Exec)) == 1:
		return powerExec
	}
	return powerNone
}
