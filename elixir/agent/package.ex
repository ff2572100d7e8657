defmodule FlyDeployAgent.Package do
  @moduledoc """
  The package `fly_deploy`, where the release has it: it is told that a window begins and how it ended, for the application's
  processes, and asked whether it would load the upgrade again.
  """

  alias FlyDeployAgent.{Cell, OnTrial}

  @typedoc """
  What the package knows of what runs: the ID of the deploy that has brought it, "" if it is not known; whether it is the image's own
  code; when the newest was signed of what this machine has run (`FlyDeploy.Newest`), in milliseconds since the Unix epoch; and the
  fingerprint of the code (`FlyDeploy.Lag`), "" where there are no keys, by which alone it is of use, or if it is not known.
  """
  @type ran :: %{upgrade: binary, own: boolean, newest_ms: non_neg_integer, code: binary}

  @doc "Before anything is suspended. The tarball's URL goes without its signature."
  @spec started(FlyDeployAgent.Order.t()) :: any
  def started(order) do
    if function_exported?(FlyDeploy.Events, :upgrade_started, 1) do
      apply(FlyDeploy.Events, :upgrade_started, [
        %{
          otp_app: order.otp_app,
          version: order.version,
          hot_ref: order.source_image,
          tarball_url: order.url |> String.split("?", parts: 2) |> hd()
        }
      ])
    end
  catch
    _, _ -> :ok
  end

  @doc "Where it has public keys, it loads nothing at a restart that none of them has signed. `signed_by` is the ID of the console's key."
  @spec findings(signed_by :: binary | nil) :: [FlyDeployAgent.Findings.finding()]
  def findings(signed_by) do
    if Code.ensure_loaded?(FlyDeploy.Signature),
      do: findings(apply(FlyDeploy.Signature, :ids, []), signed_by),
      else: []
  end

  defp findings({:ok, []}, _signed_by), do: []

  defp findings({:ok, ids}, signed_by) do
    if signed_by in ids,
      do: [],
      else: [
        not_signed(
          "loads only what is signed with key #{Enum.join(ids, " or ")}, and this is #{how(signed_by)}"
        )
      ]
  end

  defp findings({:error, text}, _signed_by), do: [not_signed("loads nothing: #{text}")]

  defp how(nil), do: "not signed"
  defp how(signed_by), do: "signed with #{signed_by}"

  defp not_signed(detail) do
    %{
      name: "not_signed",
      severity: :block,
      subject: "FlyDeploy.startup_reapply_current/1",
      detail: detail <> ": a restart would lead back to the image's code"
    }
  end

  @doc """
  What runs before a window; on trial, what ran before that counts as the newest. nil without the package, and where it cannot tell.
  A console compares with it what the bucket says has run: an old record is signed as well as a new one.
  """
  @spec ran(atom) :: ran | nil
  def ran(otp_app) do
    if Code.ensure_loaded?(FlyDeploy.Newest) and function_exported?(FlyDeploy.Newest, :without_trial, 1) do
      known = if OnTrial.told(), do: :without_trial, else: :known

      with {:ok, newest_ms} <- apply(FlyDeploy.Newest, known, [otp_app]),
           %{id: id, version: version} <- apply(FlyDeploy.Version, :running, []) do
        code = code()
        %{upgrade: id || "", own: version == nil or images?(code), newest_ms: newest_ms, code: code}
      else
        _ -> nil
      end
    end
  catch
    _, _ -> nil
  end

  defp code do
    if Application.get_env(:fly_deploy, :public_key) == nil,
      do: "",
      else: apply(FlyDeploy.Lag, :fingerprint, [])
  catch
    _, _ -> ""
  end

  # An upgrade may have been taken back to it.
  defp images?(""), do: false

  defp images?(code) do
    apply(FlyDeploy.Version, :image_code, []) == code
  catch
    _, _ -> false
  end

  @doc "What is applied, configuration or children, must be applied again at a restart, which an older package does not."
  @spec applied_findings(FlyDeployAgent.Order.t()) :: [FlyDeployAgent.Findings.finding()]
  def applied_findings(%{apply_config: config?, apply_children: children}) do
    if (not config? and children == nil) or not Code.ensure_loaded?(FlyDeploy) or applies?(),
      do: [],
      else: [
        %{
          name: "applied_lost",
          severity: :block,
          subject: "FlyDeploy.startup_reapply_current/1",
          detail:
            "belongs to a package that cannot apply configuration or children again: a restart would run the new code with the image's"
        }
      ]
  end

  # The image's own hook, by which the machine boots again, has noted it down (`FlyDeploy.Hook.note_reads/0`). One that does not, but runs no
  # upgrade, is of the image as it is loaded: configuration and children came with the same package.
  defp applies? do
    Application.get_env(:fly_deploy, :applies, false) or
      (Application.get_env(:fly_deploy, :running)[:version] == nil and
         Code.ensure_loaded?(FlyDeploy.AppliedChildren))
  end

  @doc "After the window. Whatever the package does, the agent goes on."
  @spec tell(FlyDeployAgent.Order.t(), FlyDeployAgent.Window.t(), FlyDeployAgent.Result.t()) :: any
  def tell(order, window, result) do
    if function_exported?(FlyDeploy.Events, :upgrade_ended, 1) do
      apply(FlyDeploy.Events, :upgrade_ended, [
        %{
          outcome: result.outcome,
          id: order.id,
          otp_app: order.otp_app,
          version: order.version,
          hot_ref: order.source_image,
          modules: map_size(window.md5),
          processes: length(result.targets),
          failed: length(result.failures),
          suspended_us: Cell.longest_us(window.cell),
          trial: order.trial_ms != nil,
          back_to: if(order.back, do: order.sha256)
        }
      ])
    end
  catch
    _, _ -> :ok
  end
end
