defmodule FlyDeploy.Signer do
  @moduledoc false

  # AWS Signature Version 4, in a header or in a URL. Source: the Amazon S3 API reference, "Authenticating Requests: Using the
  # Authorization Header". S3 takes paths as they are sent, encoded once.

  @type credentials :: %{
          access_key_id: String.t(),
          secret_access_key: String.t(),
          region: String.t(),
          service: String.t(),
          session_token: String.t() | nil
        }

  @doc """
  Gives the value of the Authorization header for a request without a query. All `headers` are signed: their names are
  in lower case, and `host` and `x-amz-date` (`date/1` of `time`) must be among them. `payload` is the sha256 of the
  body in hexadecimal digits, or UNSIGNED-PAYLOAD.
  """
  @spec authorization(
          String.t(),
          String.t(),
          [{String.t(), String.t()}],
          String.t(),
          credentials,
          DateTime.t()
        ) ::
          String.t()
  def authorization(method, path, headers, payload, credentials, time) do
    headers = Enum.sort(headers)
    signature = signature(method, path, "", headers, payload, credentials, time)

    "AWS4-HMAC-SHA256 Credential=#{credentials.access_key_id}/#{scope(credentials, time)}, " <>
      "SignedHeaders=#{names(headers)}, Signature=#{signature}"
  end

  @doc """
  Gives the query of a presigned URL for `host`, valid for `valid_s` seconds: whoever has it needs no key. Source: the same
  reference, "Authenticating Requests: Using Query Parameters".
  """
  @spec query(String.t(), String.t(), String.t(), pos_integer, credentials, DateTime.t()) :: String.t()
  def query(method, path, host, valid_s, credentials, time) do
    # In the order in which they are signed.
    query =
      [
        {"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},
        {"X-Amz-Credential", "#{credentials.access_key_id}/#{scope(credentials, time)}"},
        {"X-Amz-Date", date(time)},
        {"X-Amz-Expires", "#{valid_s}"}
      ] ++ token(credentials) ++ [{"X-Amz-SignedHeaders", "host"}]

    query =
      query
      |> Enum.map_join("&", fn {name, value} -> name <> "=" <> URI.encode(value, &URI.char_unreserved?/1) end)

    headers = [{"host", host}]

    query <>
      "&X-Amz-Signature=" <> signature(method, path, query, headers, "UNSIGNED-PAYLOAD", credentials, time)
  end

  defp token(%{session_token: token}) when is_binary(token), do: [{"X-Amz-Security-Token", token}]
  defp token(_credentials), do: []

  defp signature(method, path, query, headers, payload, credentials, time) do
    lines = Enum.map(headers, fn {name, value} -> [name, ?:, String.trim(value), ?\n] end)
    request = [method, ?\n, path, ?\n, query, ?\n, lines, ?\n, names(headers), ?\n, payload]
    digest = hex(:crypto.hash(:sha256, request))
    text = Enum.join(["AWS4-HMAC-SHA256", date(time), scope(credentials, time), digest], "\n")
    credentials |> key(time) |> hmac(text) |> hex()
  end

  defp names(headers), do: Enum.map_join(headers, ";", &elem(&1, 0))

  defp scope(credentials, time),
    do: Enum.join([day(time), credentials.region, credentials.service, "aws4_request"], "/")

  @doc """
  A time as `x-amz-date` has it.

      iex> FlyDeploy.Signer.date(~U[2013-05-24 00:00:00.123Z])
      "20130524T000000Z"
  """
  @spec date(DateTime.t()) :: String.t()
  def date(time), do: Calendar.strftime(time, "%Y%m%dT%H%M%SZ")

  @doc """
  A key as part of a path.

      iex> FlyDeploy.Signer.encode("releases/my_app-1.2.3+b 1.tar.gz")
      "releases/my_app-1.2.3%2Bb%201.tar.gz"
  """
  @spec encode(String.t()) :: String.t()
  def encode(key), do: URI.encode(key, &(&1 == ?/ or URI.char_unreserved?(&1)))

  defp day(time), do: Calendar.strftime(time, "%Y%m%d")

  defp key(credentials, time) do
    ("AWS4" <> credentials.secret_access_key)
    |> hmac(day(time))
    |> hmac(credentials.region)
    |> hmac(credentials.service)
    |> hmac("aws4_request")
  end

  defp hmac(key, text), do: :crypto.mac(:hmac, :sha256, key, text)
  defp hex(binary), do: Base.encode16(binary, case: :lower)
end
