from compose.api_access import named, with_access
from compose.check.options import url_of
from telemetry.nomad_api import ApiSettings
from telemetry.scrape.access import Access

ACCESS = Access(is_https=True, ca_file="ca", cert_file="cert", key_file="key", server_name="{role}.{region}.nomad")


def test_the_settings_stand_in_for_what_is_not_given():
    """
    Authority and pair each on their own; of a pair never one half; a folder of authorities is one, too.
    """
    bare = with_access(ApiSettings(token="t"), ACCESS)
    paired = with_access(ApiSettings(client_cert="own", client_key="own-key"), ACCESS)
    folder = with_access(ApiSettings(ca_path="folder"), ACCESS)

    assert ("ca", "cert", "key", "t") == (bare.ca_cert, bare.client_cert, bare.client_key, bare.token)
    assert ("ca", "own", "own-key") == (paired.ca_cert, paired.client_cert, paired.client_key)
    assert ("", "folder", "cert") == (folder.ca_cert, folder.ca_path, folder.client_cert)


def test_each_agent_has_the_name_of_its_role_and_region():
    """
    Unless the operator says one for all.
    """
    name = ACCESS.server_name_of("client", "eu")

    assert "client.eu.nomad" == named(ApiSettings(), name).tls_server_name
    assert "mine" == named(ApiSettings(tls_server_name="mine"), name).tls_server_name
    assert "" == named(ApiSettings(), Access().server_name_of("client", "eu")).tls_server_name


def test_an_address_is_https_where_anything_says_so():
    """
    The scheme of the settings, also with a public authority, or a file that only TLS uses.
    """
    assert "http://a:1" == url_of("a:1", ApiSettings(), is_https=False)
    assert "https://a:1" == url_of("a:1", ApiSettings(), is_https=True)
    assert "https://a:1" == url_of("a:1", ApiSettings(ca_cert="ca"), is_https=False)
