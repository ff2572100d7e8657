defmodule FlyDeploy.Signature do
  @moduledoc false

  # Whoever can write to the bucket can write what they like into current.json. Where the application is configured with the public keys
  # of those who deploy, an upgrade is loaded only if one of them has signed it, for this app, this image and this machine, and not
  # before what has run here (FlyDeploy.Newest). flydeploy's engine/sign makes the same bytes.

  alias FlyDeploy.{Metadata, Newest}

  @prefix "flydeploy-public:"

  @type key :: {id :: String.t(), public :: <<_::256>>}

  @typedoc "As current.json has it beside an upgrade; `value` is the signature itself."
  @type t :: %{
          key: String.t(),
          image: String.t(),
          image_code: String.t(),
          machine: String.t(),
          signed_at_ms: non_neg_integer,
          value: binary
        }

  @typedoc "The machine that is to load it; the image and its code, see `FlyDeploy.Metadata.upgrade/4`."
  @type here :: %{
          fly_app: String.t(),
          otp_app: String.t(),
          image: String.t(),
          image_code: String.t(),
          machine: String.t()
        }

  @doc """
  The public keys that `config :fly_deploy` names: none without the setting. A setting that holds no key is a mistake, and not the
  wish to load anything.

      iex> FlyDeploy.Signature.keys([])
      {:ok, []}
      iex> FlyDeploy.Signature.keys(public_key: nil)
      {:error, "public_key is set, and holds no key"}
      iex> FlyDeploy.Signature.keys(public_key: ["flydeploy-public:AAAA"])
      {:error, "public_key must be what `flydeploy keygen` has printed, or a list of that"}
      iex> {:ok, [{id, _}]} = FlyDeploy.Signature.keys(public_key: "flydeploy-public:" <> String.duplicate("A", 43))
      iex> id
      "66687aadf862bd77"
  """
  @spec keys(keyword) :: {:ok, [key]} | {:error, String.t()}
  def keys(config) do
    case Keyword.fetch(config, :public_key) do
      :error -> {:ok, []}
      {:ok, none} when none in [nil, "", []] -> {:error, "public_key is set, and holds no key"}
      {:ok, given} -> given |> List.wrap() |> parse()
    end
  end

  defp parse(given) do
    keys = for @prefix <> text <- given, {:ok, <<_::256>> = key} <- [decode(text)], do: {id(key), key}

    if length(keys) == length(given),
      do: {:ok, keys},
      else: {:error, "public_key must be what `flydeploy keygen` has printed, or a list of that"}
  end

  defp decode(text), do: text |> String.trim() |> Base.url_decode64(padding: false)
  defp id(key), do: :sha256 |> :crypto.hash(key) |> Base.encode16(case: :lower) |> binary_part(0, 16)

  @doc "What is told of the keys to whoever asks this VM (hook.exs, the agent): their IDs, or why there are none."
  @spec ids() :: {:ok, [String.t()]} | {:error, String.t()}
  def ids do
    with {:ok, keys} <- keys(config()), do: {:ok, for({id, _} <- keys, do: id)}
  end

  @doc "Whether this machine may load the upgrade. What may be loaded is the least that is loaded from now on."
  @spec check(Metadata.upgrade(), atom) :: :ok | {:error, String.t()}
  def check(upgrade, otp_app) do
    with {:ok, [_ | _] = keys} <- keys(config()),
         :ok <- verify(upgrade, keys, here(otp_app)),
         {:ok, newest} <- Newest.known(otp_app),
         :ok <- not_older(upgrade, newest, otp_app) do
      Newest.note(otp_app, upgrade.signature.signed_at_ms)
    else
      {:ok, []} -> :ok
      {:error, text} -> {:error, "hot upgrade #{upgrade.version} is refused: #{text}"}
    end
  end

  defp config, do: Application.get_all_env(:fly_deploy)

  defp here(otp_app) do
    %{
      fly_app: System.get_env("FLY_APP_NAME", ""),
      otp_app: Atom.to_string(otp_app),
      image: System.get_env("FLY_IMAGE_REF", ""),
      image_code: FlyDeploy.Version.image_code(),
      machine: System.get_env("FLY_MACHINE_ID", "")
    }
  end

  @doc "Whether one of the keys has signed the upgrade, for this machine and what it runs."
  @spec verify(Metadata.upgrade(), [key], here) :: :ok | {:error, String.t()}
  def verify(%{signature: nil}, _keys, _here), do: {:error, "it is not signed"}

  def verify(%{signature: signature} = upgrade, keys, here) do
    case List.keyfind(keys, signature.key, 0) do
      nil -> {:error, "it is signed with a key that public_key does not name"}
      {_, key} -> verify_with(key, upgrade, signature, here)
    end
  end

  defp verify_with(key, upgrade, signature, here) do
    cond do
      not signed?(message(upgrade, here), signature.value, key) ->
        {:error, "its signature is not of this upgrade, or of another app's"}

      not Metadata.same_image?(signature.image, here.image) ->
        {:error, "it was signed for another image"}

      "" not in [signature.image_code, here.image_code] and signature.image_code != here.image_code ->
        {:error, "it was signed for another image of the same name"}

      signature.machine not in ["", here.machine] ->
        {:error, "it was signed for another machine"}

      true ->
        :ok
    end
  end

  # Not every OpenSSL has the curve.
  defp signed?(message, value, key) do
    :crypto.verify(:eddsa, :none, message, value, [key, :ed25519])
  rescue
    _ -> false
  end

  # An entry of what a console has taken this machine back to is older than what it was taken back from.
  defp not_older(upgrade, newest, otp_app) do
    back = Newest.taken_back_to(otp_app, newest)
    if back && back == upgrade.sha256, do: :ok, else: not_older(upgrade.signature, newest)
  end

  defp not_older(%{signed_at_ms: at}, newest) when at >= newest, do: :ok
  defp not_older(_signature, _newest), do: {:error, "it is older than what this machine has run"}

  @doc """
  Whether those who deploy have signed it that current.json, nil if there is none, names no upgrade for this machine. What was signed
  before is not loaded any more then. Where they have not, somebody else may have removed an upgrade: the image's code runs all the same.
  """
  @spec none(binary | nil, atom) :: :ok | {:error, String.t()}
  def none(document, otp_app) do
    with {:ok, [_ | _] = keys} <- keys(config()),
         {:ok, newest} <- Newest.known(otp_app),
         {:ok, signature} <- own_code(document, newest),
         :ok <- verify_own_code(signature, keys, here(otp_app)),
         :ok <- not_older(signature, newest) do
      Newest.note(otp_app, signature.signed_at_ms)
    else
      {:ok, []} -> :ok
      :never -> :ok
      {:error, text} -> {:error, text}
    end
  end

  # Without a document there was no deploy, unless this machine knows better.
  defp own_code(nil, 0), do: :never
  defp own_code(nil, _newest), do: {:error, "the record is gone"}

  defp own_code(document, _newest) do
    case Metadata.own_code(document) do
      nil -> {:error, "it is not signed"}
      signature -> {:ok, signature}
    end
  end

  defp verify_own_code(signature, keys, here) do
    with {_, key} <- List.keyfind(keys, signature.key, 0, :unknown),
         true <- signed?(own_code_message(signature, here), signature.value, key) do
      :ok
    else
      :unknown -> {:error, "it is signed with a key that public_key does not name"}
      false -> {:error, "its signature is another app's, or was altered"}
    end
  end

  @doc "The bytes that are signed: each field with its length, so that none can pass for a part of another."
  @spec message(Metadata.upgrade(), %{fly_app: String.t(), otp_app: String.t()}) :: binary
  def message(%{signature: signature} = upgrade, here) do
    agent = upgrade.agent || %{sha256: "", size: 0, source: "", otp: "", elixir: ""}

    fields = [
      {"fly_app", here.fly_app},
      {"otp_app", here.otp_app},
      {"image", signature.image},
      {"image_code", signature.image_code},
      {"machine", signature.machine},
      {"signed_at_ms", signature.signed_at_ms},
      {"id", upgrade.id},
      {"version", upgrade.version},
      {"source_image_ref", upgrade.hot_ref},
      {"deployed_at", upgrade.deployed_at},
      {"sha256", upgrade.sha256},
      {"size", upgrade.size},
      {"fingerprint", upgrade.fingerprint},
      {"git_revision", upgrade.git_revision},
      {"release_command", upgrade.release_command},
      {"agent_sha256", agent.sha256},
      {"agent_size", agent.size},
      {"agent_source", agent.source},
      {"agent_otp", agent.otp},
      {"agent_elixir", agent.elixir}
    ]

    # What was signed before there was such a field stays valid.
    applied = if upgrade.apply_config, do: [{"apply_config", "true"}], else: []
    children = for text <- List.wrap(upgrade.apply_children), do: {"apply_children", text}
    encode("flydeploy upgrade 1\n", fields ++ applied ++ children)
  end

  @doc "Those of a record that names no upgrade."
  @spec own_code_message(t, %{fly_app: String.t(), otp_app: String.t()}) :: binary
  def own_code_message(signature, here) do
    encode("flydeploy own code 1\n", [
      {"fly_app", here.fly_app},
      {"otp_app", here.otp_app},
      {"signed_at_ms", signature.signed_at_ms}
    ])
  end

  defp encode(purpose, fields),
    do: IO.iodata_to_binary([purpose | for({name, value} <- fields, do: field(name, "#{value}"))])

  defp field(name, value), do: [name, " ", Integer.to_string(byte_size(value)), " ", value, "\n"]
end
