package s3_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/s3"
	"flydeploy/s3/s3test"
)

// named gives the server of c a name of its own, below which buckets have theirs, and counts how requests name the bucket. refuse
// answers a request in the server's place if it gives an answer.
func named(t *testing.T, c *s3.Config, domain string, refuse func(r *http.Request, inHost bool) *http.Response) (paths, hosts *int) {
	t.Helper()
	at, err := url.Parse(c.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c.Endpoint = "http://" + net.JoinHostPort(domain, at.Port())
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at.Host)
	}
	t.Cleanup(transport.CloseIdleConnections)
	paths, hosts = new(int), new(int)
	var mu sync.Mutex
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		inHost := strings.HasPrefix(r.URL.Host, bucket+".")
		mu.Lock()
		if inHost {
			*hosts++
		} else {
			*paths++
		}
		mu.Unlock()
		if resp := refuse(r, inHost); resp != nil {
			return resp, nil
		}
		return transport.RoundTrip(r)
	})
	return paths, hosts
}

const denied = `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`

// versitygw and SeaweedFS know both addresses; in front of them is what refuses the path, as Tigris does for newer buckets.
func TestABucketThatIsNamedInTheHostOnly(t *testing.T) {
	const domain = "storage.test"
	servers := map[string]func() s3.Config{"versitygw": func() s3.Config { return startVersityWith(t, "--virtual-domain", domain) }}
	if s3test.Long() {
		servers[seaweed] = func() s3.Config { return s3test.Seaweed(t, "-s3.domainName="+domain) }
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			c := start()
			paths, hosts := named(t, &c, domain, func(r *http.Request, inHost bool) *http.Response {
				if inHost {
					return nil
				}
				return answer(r, http.StatusForbidden, denied)
			})
			b := open(t, c)
			if _, _, err := b.Metadata(t.Context()); !isNotFound(err) {
				t.Fatal(err)
			}
			if err := b.WriteMetadata(t.Context(), engine.Metadata{ImageRef: "a"}, ""); err != nil {
				t.Fatal(err)
			}
			if md, _, err := b.Metadata(t.Context()); err != nil || md.ImageRef != "a" {
				t.Fatalf("%+v, %v", md, err)
			}
			if *paths != 1 || *hosts < 3 {
				t.Errorf("%d requests named the bucket in the path, %d in the host", *paths, *hosts)
			}
		})
	}
}

// Keys that may not read are refused by both addresses: the first refusal is told, and later requests are as before.
func TestKeysThatAreRefusedEverywhere(t *testing.T) {
	c := startServer(t)
	paths, hosts := named(t, &c, "storage.test", func(r *http.Request, inHost bool) *http.Response {
		if inHost {
			return answer(r, http.StatusNotFound, `<Error><Code>NoSuchBucket</Code></Error>`)
		}
		return answer(r, http.StatusForbidden, denied)
	})
	b := open(t, c)
	for range 2 {
		_, _, err := b.Metadata(t.Context())
		if p := engine.AsProblem(err); p == nil || p.Name != "storage_forbidden" {
			t.Fatalf("%v", err)
		}
	}
	if *paths != 3 || *hosts != 1 {
		t.Errorf("%d requests named the bucket in the path, %d in the host", *paths, *hosts)
	}
}

// An address in numbers has no names below it, and wrong keys are wrong everywhere.
func TestRefusalsThatHaveNothingToDoWithTheAddress(t *testing.T) {
	wrongKeys := startServer(t)
	paths, hosts := named(t, &wrongKeys, "storage.test", func(r *http.Request, _ bool) *http.Response {
		return answer(r, http.StatusForbidden, `<Error><Code>InvalidAccessKeyId</Code></Error>`)
	})
	if _, _, err := open(t, wrongKeys).Metadata(t.Context()); engine.AsProblem(err).Name != "storage_keys" || *paths != 1 || *hosts != 0 {
		t.Errorf("%d and %d requests: %v", *paths, *hosts, err)
	}
	numbers := startServer(t)
	paths, hosts = named(t, &numbers, "127.0.0.1", func(r *http.Request, _ bool) *http.Response {
		return answer(r, http.StatusForbidden, denied)
	})
	if _, _, err := open(t, numbers).Metadata(t.Context()); engine.AsProblem(err).Name != "storage_forbidden" || *paths != 1 || *hosts != 0 {
		t.Errorf("%d and %d requests: %v", *paths, *hosts, err)
	}
}

// Machines whose storage's certificates are not the system's name them in AWS_CA_BUNDLE.
func TestCertificatesOfOnesOwn(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	c := s3.Config{Endpoint: server.URL, Bucket: bucket, App: "counter", AccessKeyID: "a", SecretAccessKey: "b"}
	c.CABundle = filepath.Join(t.TempDir(), "ca.pem")
	_, err := s3.Open(t.Context(), c)
	if p := engine.AsProblem(err); p == nil || p.Name != "storage_certificates" {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(c.CABundle, certificate(server), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(t, c).Metadata(t.Context()); !isNotFound(err) {
		t.Errorf("%v", err)
	}
}

// Keys that expire have a token, which goes with each request and with each URL that is given away.
func TestKeysThatExpire(t *testing.T) {
	const token = "token/of=session"
	asked := 0
	b := open(t, s3.Config{
		Endpoint: "http://storage.test", Bucket: bucket, App: "counter", AccessKeyID: "a", SecretAccessKey: "b", SessionToken: token,
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked++
			if r.Header.Get("X-Amz-Security-Token") != token || !strings.Contains(r.Header.Get("Authorization"), "x-amz-security-token") {
				t.Errorf("%s %s without the token, or it is not signed: %v", r.Method, r.URL, r.Header)
			}
			return answer(r, http.StatusNotFound, `<Error><Code>NoSuchKey</Code></Error>`), nil
		}),
	})
	if _, _, err := b.Metadata(t.Context()); !isNotFound(err) || asked == 0 {
		t.Fatalf("%d requests: %v", asked, err)
	}
	address, _, err := b.PresignPut(t.Context(), "releases/counter-1.tar.gz", 1, digest("a"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := url.Parse(address); err != nil || at.Query().Get("X-Amz-Security-Token") != token {
		t.Errorf("%v: %v", at, err)
	}
}

func TestARoleIsNotTakenOn(t *testing.T) {
	_, err := s3.Open(t.Context(), s3.Config{Bucket: bucket, App: "counter", Role: "arn:aws:iam::1:role/a"})
	if p := engine.AsProblem(err); p == nil || p.Name != "storage_keys" || !strings.Contains(p.Remedy, "AWS_ROLE_ARN") {
		t.Errorf("%v", err)
	}
}

func isNotFound(err error) bool { return errors.Is(err, engine.ErrNotFound) }

func certificate(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
