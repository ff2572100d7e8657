package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// addressing decides where a request names the bucket: in its path, or in the host's name. The path is tried first, since every
// endpoint has it that has no names below its own. Some storages refuse it: Tigris for newer buckets
// (https://www.tigrisdata.com/blog/virtual-hosted-urls/), others for all. The first refusal is then no answer yet: the request is
// repeated with the bucket in the host's name, and only if that is refused as well, the refusal counts.
type addressing struct {
	next   http.RoundTripper
	bucket string
	state  atomic.Int32 // of addressingState
}

type addressingState = int32

const (
	pathUntried  addressingState = iota // the path, until it is refused
	hostTried                           // the path was refused, the host's name is being tried
	pathSettled                         // the path, for good
	hostSettled                         // the host's name, for good
	maxErrorBody = 64 << 10             // bytes of a refusal that are read for its code
)

// settle keeps to the path where the endpoint can have no names below its own.
func (a *addressing) settle(endpoint *url.URL) {
	if net.ParseIP(endpoint.Hostname()) != nil || strings.Contains(a.bucket, ".") {
		a.state.Store(pathSettled)
	}
}

func (a *addressing) usesPath() bool {
	return slices.Contains([]addressingState{pathUntried, pathSettled}, a.state.Load())
}

// ResolveEndpoint implements s3.EndpointResolverV2. It is asked for each attempt of a request.
func (a *addressing) ResolveEndpoint(ctx context.Context, p s3.EndpointParameters) (smithyendpoints.Endpoint, error) {
	p.ForcePathStyle = aws.Bool(a.usesPath())
	return s3.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, p)
}

// RoundTrip implements http.RoundTripper: it learns from answers which addresses work.
func (a *addressing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	switch state := a.state.Load(); {
	case state == hostTried && a.inHost(r.URL):
		if err != nil || refusesAddress(resp) || errorCode(resp) == "NoSuchBucket" {
			a.state.CompareAndSwap(hostTried, pathSettled)
		} else {
			a.state.CompareAndSwap(hostTried, hostSettled)
		}
	case state == pathUntried && err == nil && resp.StatusCode < http.StatusBadRequest:
		a.state.CompareAndSwap(pathUntried, pathSettled)
	case state == pathUntried && err == nil && refusesAddress(resp):
		a.state.CompareAndSwap(pathUntried, hostTried)
	}
	return resp, err
}

func (a *addressing) inHost(u *url.URL) bool { return strings.HasPrefix(u.Host, a.bucket+".") }

// IsErrorRetryable implements retry.IsErrorRetryable: an attempt is repeated at once if requests are addressed otherwise by now.
func (a *addressing) IsErrorRetryable(err error) aws.Ternary {
	var answered *smithyhttp.ResponseError
	var unanswered *url.Error
	var to *url.URL
	switch {
	case errors.As(err, &answered) && answered.Response != nil && answered.Response.Request != nil:
		if answered.HTTPStatusCode() < http.StatusBadRequest || answered.HTTPStatusCode() >= http.StatusInternalServerError {
			return aws.UnknownTernary
		}
		to = answered.Response.Request.URL
	case errors.As(err, &unanswered):
		to, _ = url.Parse(unanswered.URL)
	}
	if to == nil || a.inHost(to) != a.usesPath() {
		return aws.UnknownTernary
	}
	return aws.TrueTernary
}

// refusesAddress reports whether an answer may mean that the bucket is not to be named in this way. Many storages only say that
// access is denied.
func refusesAddress(resp *http.Response) bool {
	code := errorCode(resp)
	return code == "VirtualHostDomainRequired" || resp.StatusCode == http.StatusForbidden && !slices.Contains(wrongKeys, code)
}

// wrongKeys are the codes of refusals that have nothing to do with the address.
var wrongKeys = []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "ExpiredToken", "InvalidToken"}

// errorCode reads S3's code of a refusal, and leaves the body to be read again. "" stands for none.
func errorCode(resp *http.Response) string {
	if resp.StatusCode < http.StatusBadRequest {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	var refusal struct{ Code string }
	if err != nil || xml.Unmarshal(body, &refusal) != nil {
		return ""
	}
	return refusal.Code
}
