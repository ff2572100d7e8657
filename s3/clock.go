package s3

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// minSkew is the smallest difference between two clocks that counts: the Date header has a resolution of a second, and
// answers take time to travel.
const minSkew = 5 * time.Second

// clock tells the time by the bucket's clock, from the Date header of its answers. Neither the order of deploys nor
// whether a signature is valid may depend on the clock of the computer that runs the console.
type clock struct {
	next     http.RoundTripper
	computer func() time.Time // the computer's own clock
	skew     atomic.Int64     // the bucket's time minus the computer's, nanoseconds
	measured atomic.Int64     // how many answers told a time
}

func newClock(next http.RoundTripper) *clock {
	if next == nil {
		next = http.DefaultTransport.(*http.Transport).Clone()
	}
	return &clock{next: next, computer: time.Now}
}

// RoundTrip implements http.RoundTripper.
func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		skew := date.Sub(c.computer())
		if skew.Abs() < minSkew {
			skew = 0
		}
		c.skew.Store(int64(skew))
		c.measured.Add(1)
	}
	return resp, nil
}

// now has a resolution of microseconds, which is what fly_deploy writes.
func (c *clock) now() time.Time {
	return c.computer().Add(time.Duration(c.skew.Load())).UTC().Truncate(time.Microsecond)
}

// Now gives the bucket's time: this computer's, plus the difference that the latest answer showed. Before the first answer
// it is this computer's own.
func (b *Bucket) Now() time.Time { return b.clock.now() }

// presigner signs URLs with the bucket's time. The SDK would take the computer's, by which a URL may have expired already,
// or not be valid yet.
type presigner struct {
	clock  *clock
	signer *v4.Signer
}

func newPresigner(c *clock) presigner {
	// S3 signs the path as it is sent, unlike other services of AWS.
	return presigner{c, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
}

// PresignHTTP implements s3.HTTPPresignerV4.
func (p presigner) PresignHTTP(ctx context.Context, keys aws.Credentials, r *http.Request, payloadHash, service, region string,
	_ time.Time, options ...func(*v4.SignerOptions),
) (url string, signed http.Header, err error) {
	return p.signer.PresignHTTP(ctx, keys, r, payloadHash, service, region, p.clock.now(), options...)
}
